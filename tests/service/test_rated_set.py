"""What ratings say of questions and documents, and what they do not; the set they make can be measured with."""

from __future__ import annotations

import itertools
import json

import pytest
from typer.testing import CliRunner

from service.rated_set import rated_set, write_set
from service.ratings import Answered, Rated, Ratings
from store.errors import UsageError

NUMBER = itertools.count()


def answered(query="Why?", verdict="grounded", cites=("a",), **more) -> Answered:
    sentences = [
        {"index": at, "verdict": "supported", "documents": [one], "passages": [f"p-{one}"]}
        for at, one in enumerate(cites)
    ]
    given = {
        "request_id": f"r{next(NUMBER)}",
        "generation": 1,
        "question": query,
        "query_used": query,
        "principals": [],
        "verdict": verdict,
        "finish_reason": "stop",
        "abstention": None,
        "model": "extractive",
        "sources": [],
        "sentences": [] if verdict == "abstained" else sentences,
        "withheld": [],
        "answered": 0.0,
    }
    return Answered.model_validate(given | more)


def rated(thumb, answer: Answered, sentence=None) -> Rated:
    return Rated(rating=thumb, comment=None, sentence_index=sentence, rated="2026-01-01", answer=answer)


def told(*ratings):
    made = rated_set(ratings)
    flags = {row["text"]: row["answerable"] for row in made.queries}
    names = {row["_id"]: row["text"] for row in made.queries}
    return flags, {(names[query], document) for query, document in made.qrels}, dict(made.left_out)


def test_documents_that_a_good_answer_cites_are_relevant():
    assert told(rated("up", answered(cites=("a", "b")))) == ({"Why?": True}, {("Why?", "a"), ("Why?", "b")}, {})


def test_a_refusal_that_was_right_makes_an_unanswerable_question_and_a_wrong_one_an_answerable_one():
    assert told(rated("up", answered("No?", "abstained"))) == ({"No?": False}, set(), {})
    assert told(rated("down", answered("Yes?", "abstained"))) == ({"Yes?": True}, set(), {})


def test_a_bad_answer_says_nothing_about_where_a_good_one_is():
    assert told(rated("down", answered())) == ({}, set(), {"bad answers": 1})


def test_a_sentence_is_rated_before_the_whole():
    answer = answered(cites=("a", "b"))
    assert told(rated("up", answer), rated("down", answer, 1))[1] == {("Why?", "a")}
    assert told(rated("down", answer), rated("up", answer, 1)) == ({"Why?": True}, {("Why?", "b")}, {})
    assert told(rated("down", answer, 0), rated("down", answer, 1)) == ({}, set(), {"bad answers": 1})


def test_what_was_shown_though_unsupported_judges_no_document():
    doubtful = [{"index": 0, "verdict": "unsupported", "documents": ["a"], "passages": ["p"]}]
    assert told(rated("up", answered(sentences=doubtful)))[1] == set()


def test_a_question_asked_again_is_one_question():
    flags, qrels, _ = told(
        rated("up", answered("Why  so?", cites=("a",))),
        rated("up", answered("why so?", cites=("b",))),
        rated("down", answered("WHY SO?", cites=("c",))),
    )
    assert flags == {"Why  so?": True}
    assert {document for _, document in qrels} == {"a", "b"}


def test_where_people_disagree_on_whether_it_can_be_answered_it_is_left_out():
    assert told(rated("up", answered()), rated("up", answered(verdict="abstained"))) == ({}, set(), {"contradicted": 1})


def test_what_was_asked_with_rights_of_ones_own_is_left_out():
    assert told(rated("up", answered(principals=["board"]))) == ({}, set(), {"not everyone's": 1})


def test_a_set_is_replaced_and_nothing_else_is(tmp_path):
    made = rated_set([rated("up", answered())])
    write_set(made, tmp_path / "new" / "set")
    write_set(made, tmp_path / "new" / "set")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("precious")
    with pytest.raises(UsageError, match="holds something else than a question set"):
        write_set(made, tmp_path / "other")
    with pytest.raises(UsageError, match="is no folder"):
        write_set(made, tmp_path / "other" / "file")


@pytest.fixture
def used(make_index, jsonl, tmp_path):
    """An index that was asked three questions, whose answers were rated as people would; `run` is the command line."""
    from starlette.testclient import TestClient

    from footnote.cli import app
    from service.http.app import create_app
    from service.settings import ServiceSettings
    from service.wiring import Service

    texts = {
        "cats": "Cats sleep for most of the day.",
        "dogs": "Dogs bark at strangers.",
        "owls": "Owls hunt at night.",
    }
    index = tmp_path / "index"
    make_index(index, jsonl(tmp_path / "d.jsonl", [{"id": name, "text": text} for name, text in texts.items()]))
    settings = ServiceSettings(index=index, budgets=False, abstain_below=0.0)
    with TestClient(create_app(Service(settings))) as client:
        for query, thumb, comment in (
            ("When do cats sleep for most of the day?", "up", None),
            ("What barks at strangers?", "up", "Dogs, yes."),
        ):
            answer = client.post("/v1/answer", json={"query": query}).json()
            assert answer["verdict"] == "grounded"
            body = {"request_id": answer["request_id"], "rating": thumb} | ({"comment": comment} if comment else {})
            assert client.post("/v1/feedback", json=body).status_code == 200
    with TestClient(create_app(Service(settings.model_copy(update={"abstain_below": 1.0})))) as client:
        for query, thumb in (("Who won the cup?", "up"), ("Who hunts?", "down")):
            answer = client.post("/v1/answer", json={"query": query}).json()
            assert answer["verdict"] == "abstained"
            client.post("/v1/feedback", json={"request_id": answer["request_id"], "rating": thumb})

    def run(*arguments):
        result = CliRunner().invoke(app, [*map(str, arguments), "--index", str(index)])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return run


def test_the_commands_list_and_count_ratings(used):
    listed = json.loads(used("feedback", "list", "--json"))
    assert [one["rating"] for one in listed] == ["up", "up", "up", "down"]
    assert "What barks at strangers?" in used("feedback", "list", "--rating", "up")
    assert used("feedback", "list", "--limit", "1").endswith("3 earlier; --limit 0 lists all\n")
    stats = json.loads(used("feedback", "stats", "--json"))
    assert (stats["ratings"], stats["up"], stats["down"], stats["comments"]) == (4, 3, 1, 1)
    assert stats["by_verdict"] == {"abstained": {"up": 1, "down": 1}, "grounded": {"up": 2, "down": 0}}
    assert "4 ratings of 4 answers: 3 up, 1 down" in used("feedback", "stats")
    with pytest.raises(UsageError, match="unknown rating"):
        used("feedback", "list", "--rating", "sideways")


def test_what_was_exported_can_be_measured(used, tmp_path):
    """The real `footnote evaluate`, on the set as it was written."""
    folder = tmp_path / "set"
    told = json.loads(used("feedback", "export", folder, "--json"))
    assert (told["questions"], told["answerable"], told["unanswerable"], told["with_relevant_documents"]) == (
        4,
        3,
        1,
        2,
    )
    measured = json.loads(used("evaluate", folder, "--json", "--output", tmp_path / "run", "--answers"))
    (report,) = measured if isinstance(measured, list) else [measured]
    assert report["questions"] == 4
    assert (report["answers"]["answerable"], report["answers"]["unanswerable"]) == (3, 1)
    assert report["answers"]["right_page_in_top_5"] == 1.0  # of the two that have a right page


def test_a_set_of_refusals_alone_can_be_measured(tmp_path, small_index):
    from footnote.cli import app

    write_set(rated_set([rated("down", answered("Do cats purr?", "abstained"))]), tmp_path / "set")
    arguments = ["evaluate", str(tmp_path / "set"), "--index", str(small_index), "--output", str(tmp_path / "run")]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.exception


def test_ratings_that_say_nothing_make_no_set(tmp_path):
    from footnote.cli import app

    ratings = Ratings(tmp_path / "index-feedback.sqlite", answers_max=9, ratings_max=9)
    ratings.look()
    ratings.close()
    result = CliRunner().invoke(app, ["feedback", "export", str(tmp_path / "set"), "--index", str(tmp_path / "index")])
    assert "say of no question what is right" in str(result.exception)
    assert not (tmp_path / "set").exists()
