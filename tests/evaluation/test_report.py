"""The page is whole by itself, escapes what it is told, and shows what was lost."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from evaluation.errors import RunUnreadable
from evaluation.refusals import Refusals, Weighed
from evaluation.report import write_report
from evaluation.runs import Run, read_run, write_run
from indexer.progress import Silent
from store.errors import UsageError

VALUES = {
    "lexical": {f"q{number}": 0.9 for number in range(20)},
    "hybrid": {f"q{number}": 0.1 if number < 15 else 1.0 for number in range(20)},
}
EVIL = """<script>alert("x")</script>"'&<img src=x onerror=y>"""


class Page(HTMLParser):
    """Tags with attributes, and the text, of a page whose tags must close in order."""

    VOID = frozenset({"meta", "path", "rect", "circle", "line"})

    def __init__(self, html):
        super().__init__()
        self.tags, self.text, self.open = [], "", []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data + " "


def report(*runs, output, **changes):
    written = write_report([Run(str(one)) for one in runs], output, Silent(), **changes)
    page = Page(written.read_text(encoding="utf-8"))
    assert page.open == []
    return page


@pytest.fixture
def made(tmp_path, made_run):
    return made_run(tmp_path / "run" / "made.json", VALUES, times_ms={"lexical": 2.0, "hybrid": 12.0}).parent


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"baseline": "dense"}, RunUnreadable, "made has no 'dense' to compare with; it has 'lexical', 'hybrid'"),
        ({"measure": "P@5"}, UsageError, "unknown measure 'P@5'"),
        ({"output": "nowhere/report.html"}, UsageError, "there is no folder"),
    ],
)
def test_what_cannot_be_reported_is_refused_and_writes_nothing(made, tmp_path, changes, error, says):
    output = tmp_path / changes.pop("output", "report.html")

    with pytest.raises(error) as caught:
        report(made, output=output, **changes)

    assert says in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["run"]


def test_nothing_comes_from_elsewhere_and_nothing_runs(made, tmp_path):
    page = report(made, output=tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()

    assert {"script", "link", "img", "iframe", "object"} & {tag for tag, _ in page.tags} == set()
    assert re.findall(r"https?://|url\(|@import", html) == []
    assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in page.tags
    assert "prefers-color-scheme: dark" in html


def test_everything_is_escaped(made_run, tmp_path):
    made_run(
        tmp_path / "run" / "evil.json",
        {EVIL: {EVIL: 0.2}, "hybrid": {EVIL: 0.9}},
        name=EVIL,
        queries={EVIL: EVIL},
        texts={"right": {"title": EVIL, "snippet": EVIL}},
    )

    page = report(tmp_path / "run", output=tmp_path / "report.html")

    assert {"script", "img"} & {tag for tag, _ in page.tags} == set()
    assert page.text.count(EVIL) >= 6  # title, heading, configuration, question, title and snippet of a document


def test_figures_verdict_wins_and_losses_are_told(made, tmp_path):
    page = report(made, output=tmp_path / "report.html", baseline="lexical")

    told = " ".join(page.text.split())
    assert "hybrid 0.3250 0.3250 0.3250 0.3250 −0.5750 ▼" in told
    assert "5 won 0 equal 15 lost" in told
    assert "12.0 12.0" in told
    places = [attributes["class"] for tag, attributes in page.tags if "mark" in attributes.get("class", "")]
    assert places.count("mark baseline") == places.count("mark worse") == 2  # for a desk and for a phone


def test_what_lost_most_is_shown_with_both_rankings_and_where_the_relevant_went(made, tmp_path):
    page = report(made, output=tmp_path / "report.html", baseline="lexical")

    lost = [attributes for tag, attributes in page.tags if attributes.get("class") == "lost"]
    told = " ".join(page.text.split())
    assert len(lost) == 5
    assert "text of q0 nDCG@10 0.9000 → 0.1000 , question q0" in told
    assert "lexical 1 The right one relevant Yes. 2 Wrong No. hybrid 1 Wrong No. 2 The right one relevant Yes." in told
    assert "1 → 2 The right one" in told


def test_several_sets_and_runs_stand_beside_one_another(made, made_run, tmp_path):
    made_run(tmp_path / "run" / "second.json", VALUES, name="second")
    made_run(tmp_path / "after" / "made.json", {"hybrid": VALUES["lexical"]})

    page = report(tmp_path / "run", tmp_path / "after", output=tmp_path / "report.html")
    told = " ".join(page.text.split())

    assert "All sets at a glance" in told
    assert "compared question by question with run hybrid" in told
    assert "after hybrid 0.9000 ▲" in told
    assert [attributes["href"] for tag, attributes in page.tags if tag == "a"] == ["#set-1", "#set-2"]


def test_questions_that_are_not_common_are_left_out_and_that_is_said(made, made_run, tmp_path):
    made_run(tmp_path / "after" / "made.json", {"hybrid": {"q0": 0.3, "new": 0.4}})

    page = report(made, f"{tmp_path / 'after'}:hybrid", output=tmp_path / "report.html")

    assert "20 questions that only one run has, or has otherwise, were left out" in " ".join(page.text.split())


def test_a_run_without_times_has_no_picture_of_them(made_run, tmp_path):
    file = made_run(tmp_path / "run" / "made.json", VALUES)
    file.write_text(
        re.sub(r'"latency_by_question":\{.*\}\},"texts"', '"latency_by_question":{},"texts"', file.read_text())
    )

    page = report(file, output=tmp_path / "report.html")

    assert not [1 for _, attributes in page.tags if attributes.get("class") == "wide"]


@pytest.mark.parametrize(("abstain_below", "dots"), [(0.5, 2), (1.0, 0)])
def test_refusals_are_drawn_beside_the_plain_score(made_run, tmp_path, abstain_below, dots):
    """Twice, for wide and narrow pages; a threshold that answers nothing is nowhere on the curve."""
    weighed = {f"q{at}": Weighed(at % 3 > 0, at / 20, 1 - at / 20) for at in range(20)}
    path = made_run(tmp_path / "run" / "made.json", VALUES, refusals=Refusals(weighed, abstain_below))
    page = report(path.parent, output=tmp_path / "report.html")

    pictures = [given for tag, given in page.tags if tag == "svg" and given.get("aria-label", "").startswith("risk")]
    assert [given["aria-label"] for given in pictures] == ["risk against coverage on made"] * 2
    curves = [given["d"] for tag, given in page.tags if tag == "path" and given.get("class") == "curve curve-2"]
    assert len(curves) == 4  # and their keys
    assert sum(tag == "circle" and given.get("class") == "mark baseline" for tag, given in page.tags) == dots
    assert "plain aurc" in page.text


def test_a_run_that_weighed_no_question_draws_no_curve(made, tmp_path):
    page = report(made, output=tmp_path / "report.html")
    assert "Refusals" not in page.text


def test_answers_are_shown_as_they_left_and_as_they_were_written(tmp_path, made):
    path = made / "made.json"
    run = read_run(path)
    figures = {"claims": 7, "token_f1": 0.25, "written_token_f1": 0.125}
    modes = {**run.modes, "hybrid": {**run.modes["hybrid"], "answers": figures}}
    write_run(run.model_copy(update={"modes": modes}), path)

    page = report(made, output=tmp_path / "page.html")

    assert re.search(r"Answers\s+figure\s+as it left\s+as written", page.text)
    assert re.search(r"token f1\s+0\.25\s+0\.125", page.text)
    modes["hybrid"]["answers"] = {"claims": 7}
    write_run(run.model_copy(update={"modes": modes}), path)
    assert "as written" not in report(made, output=tmp_path / "page.html").text
