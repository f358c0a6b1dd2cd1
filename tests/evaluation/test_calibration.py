"""Weighing the legs by pseudo-questions."""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from evaluation.calibrated import CHANGED_MAX, bring_up_to_date
from evaluation.calibrated_refusals import Promise, refusing
from evaluation.calibration import DENSE_WEIGHT_MAX, Measured, dense_weight, fitted_weight, measured_of
from evaluation.pseudo_questions import WORDS_MAX, pseudo_questions
from evaluation.sets import read_set
from indexer.progress import Silent
from service.evidence import ABSTAIN_BELOW
from service.http.reload import Watcher
from service.settings import ServiceSettings
from service.wiring import Service
from store.analyzer import Analyzer
from store.calibration import calibration_file, read_calibration, write_calibration
from store.errors import IndexLocked
from store.fusion import DENSE_WEIGHT
from store.index import IndexDirectory
from store.local import read_manifest
from store.passages import PassageReader

WORDS = ["otter", "badger", "heron", "salmon", "beaver", "falcon", "lynx", "marten", "river", "stone", "meadow"]


def choices(telling: int, *, mean: float = 1.0, questions: int = 200):
    """Candidates of whom one leg tells the first, and of the other nothing can be learnt."""
    dice = np.random.default_rng(5)
    for _ in range(questions):
        scores = dice.uniform(0.0, 1.0, (30, 2))
        scores[0, telling] = mean + dice.normal(0, 0.2)
        yield scores / scores.max(axis=0)


class TestFit:
    def test_a_leg_that_tells_all_gets_all(self):
        assert fitted_weight(list(choices(0))) > 0.9
        assert fitted_weight(list(choices(1))) < 0.1

    def test_legs_that_tell_alike_share(self):
        both = [np.maximum(one, two) for one, two in zip(choices(0), choices(1), strict=True)]
        assert fitted_weight(both) == pytest.approx(0.5, abs=0.1)

    def test_the_likelihood_is_at_its_largest(self):
        """Against a search of the plane of coefficients."""
        two = zip(choices(0, mean=0.8, questions=60), choices(1, mean=0.8, questions=60), strict=True)
        found = [0.7 * dense + 0.3 * lexical for dense, lexical in two]

        def likelihood(dense, lexical):
            utilities = [one @ (dense, lexical) for one in found]
            fit = np.mean([one[0] - one.max() - np.log(np.exp(one - one.max()).sum()) for one in utilities])
            return fit - 5e-4 * ((dense / 10) ** 2 + (lexical / 3) ** 2)

        grid = [(dense, lexical) for dense in np.arange(0, 10, 0.2) for lexical in np.arange(0, 10, 0.2)]
        dense, lexical = max(grid, key=lambda pair: likelihood(*pair))
        assert fitted_weight(found) == pytest.approx(dense / (dense + lexical), abs=0.03)

    def test_where_there_is_nothing_to_choose_from_the_default_stays(self):
        assert fitted_weight([]) == DENSE_WEIGHT
        assert fitted_weight([np.ones((1, 2))]) == DENSE_WEIGHT

    def test_success_is_the_discounted_rank(self):
        third = np.array([[0.5, 0.0], [1.0, 1.0], [0.9, 0.2], [0.1, 0.0]])
        assert measured_of([third]).dense == pytest.approx(0.5)
        assert measured_of([third]).lexical == 0.0


class TestRule:
    def test_half_way_to_what_was_fitted(self):
        assert dense_weight(Measured(200, 0.6, 0.6, 0.5)) == pytest.approx((DENSE_WEIGHT + 0.5) / 2)

    def test_never_all(self):
        assert dense_weight(Measured(200, 0.9, 0.1, 1.0)) == DENSE_WEIGHT_MAX

    def test_less_for_a_leg_that_does_not_know_these_texts(self):
        weights = [dense_weight(Measured(200, found, 0.8, 0.8)) for found in (0.8, 0.56, 0.4, 0.1, 0.0)]
        assert weights[0] == weights[1] == pytest.approx(0.8)
        assert weights[2:] == pytest.approx([0.8 * 0.5 / 0.7, 0.8 * 0.125 / 0.7, 0.0], abs=1e-4)

    def test_the_default_where_too_little_could_be_asked(self):
        assert dense_weight(Measured(39, 0.0, 0.9, 0.0)) == DENSE_WEIGHT
        assert dense_weight(Measured(200, 0.0, 0.0, 0.3)) == DENSE_WEIGHT


def documents(size: int, *, access=None, salt: str = ""):
    dice = np.random.default_rng(3)
    for number in range(size):
        sentences = [" ".join(dice.choice(WORDS, 6, replace=False)) + f" n{number}{salt}." for _ in range(6)]
        yield {"id": f"d{number}", "text": " ".join(map(str.capitalize, sentences)), "access": access or []}


@pytest.fixture
def index(tmp_path, make_index, jsonl):
    """An index that can be made again of other documents."""

    def make(found, **settings):
        make_index(tmp_path / "index", jsonl(tmp_path / "d.jsonl", found), **settings)
        return IndexDirectory(tmp_path / "index")

    return make


class TestPseudoQuestions:
    def test_each_is_words_of_its_passage_and_the_rest_has_not_that_sentence(self, index):
        made = index(documents(20))
        reader = PassageReader(made.snapshots / made.require_current().name / "passages.sqlite")
        passages = {one.passage.id: one.passage.text for one in reader.sample(100, 1)}
        found = list(pseudo_questions(reader.sample(100, 1), Analyzer()))
        reader.close()
        assert len(found) == 20
        for one in found:
            assert one.text in passages[one.passage_id]
            assert one.text not in one.rest
            assert len(one.text.split()) <= WORDS_MAX

    def test_a_passage_of_one_sentence_is_not_asked_about(self, index):
        made = index([{"id": "d", "text": "Otters badgers herons and salmon sleep in the river."}])
        reader = PassageReader(made.snapshots / made.require_current().name / "passages.sqlite")
        assert list(pseudo_questions(reader.sample(100, 1), Analyzer())) == []
        reader.close()


class TestUpkeep:
    def test_it_is_measured_once_and_kept(self, index):
        made = index(documents(80))
        first = bring_up_to_date(made, Silent())
        assert first.outcome == "measured"
        assert first.calibration.questions == 80
        assert 0.0 <= first.calibration.dense_weight <= 1.0
        again = bring_up_to_date(made, Silent())
        assert (again.outcome, again.calibration) == ("kept", first.calibration)
        anew = bring_up_to_date(made, Silent(), again=True)
        assert (anew.outcome, anew.calibration) == ("measured", first.calibration)

    def test_a_damaged_one_is_measured_anew(self, index):
        made = index(documents(60))
        name = bring_up_to_date(made, Silent()).calibration.snapshot
        calibration_file(made.calibration, name).write_bytes(b"{}")
        assert bring_up_to_date(made, Silent()).outcome == "measured"
        assert read_calibration(made.calibration, name) is not None

    def test_it_is_carried_over_until_too_much_has_changed(self, index):
        first = bring_up_to_date(index(documents(100)), Silent()).calibration
        outcomes = []
        for step in range(3):
            found = list(documents(100))
            for number in range(4 * (step + 1)):
                found[number]["text"] += " More of it here."
            made = index(found)
            done = bring_up_to_date(made, Silent())
            outcomes.append((done.outcome, done.calibration.changed))
            assert done.calibration.snapshot == made.require_current().name
        assert CHANGED_MAX == 0.1
        assert outcomes == [("carried over", 0.04), ("carried over", 0.08), ("measured", 0.0)]
        assert first.changed == 0.0

    def test_deletions_count_as_changes(self, index):
        bring_up_to_date(index(documents(100)), Silent())
        assert bring_up_to_date(index(list(documents(100))[:80]), Silent()).outcome == "measured"

    def test_of_another_embedding_space_nothing_is_carried_over(self, index):
        bring_up_to_date(index(documents(60)), Silent())
        assert bring_up_to_date(index(documents(60), model="hash:32"), Silent()).outcome == "measured"

    def test_of_another_analyzer_nothing_is_carried_over(self, index):
        bring_up_to_date(index(documents(60)), Silent())
        assert bring_up_to_date(index(documents(60), language="none"), Silent()).outcome == "measured"

    def test_another_language_among_the_documents_is_no_other_analyzer(self, index):
        bring_up_to_date(index(documents(60)), Silent())
        greek = {"id": "el", "text": "Το ελληνικό αλφάβητο χρησιμοποιείται για τη γραφή της γλώσσας. Από τον αιώνα."}
        made = index([*documents(60), greek])
        assert "greek" in read_manifest(made.snapshots / made.require_current().name).analyzer
        assert bring_up_to_date(made, Silent()).outcome == "carried over"

    @pytest.mark.parametrize("damage", ["some pages", "all", "gone"])
    def test_from_a_damaged_snapshot_nothing_is_carried_over(self, index, damage):
        before = index(documents(60))
        bring_up_to_date(before, Silent())
        file = before.snapshots / before.require_current().name / "passages.sqlite"
        made = index([*documents(60), {"id": "more", "text": "More. And more."}])
        data = file.read_bytes()
        if damage == "gone":
            file.unlink()
        else:
            file.write_bytes(data[:4096] + bytes(len(data) - 4096) if damage == "some pages" else b"x" * len(data))
        assert bring_up_to_date(made, Silent()).outcome == "measured"

    def test_where_nothing_can_be_written_nothing_is_measured(self, index, monkeypatch):
        made = index(documents(60))
        monkeypatch.setattr("evaluation.calibrated.calibrate", None)
        with made.lock(), pytest.raises(IndexLocked):
            bring_up_to_date(IndexDirectory(made.path), Silent())

    def test_restricted_documents_are_asked_about_among_each_other(self, index):
        open_to_all = bring_up_to_date(index(documents(80)), Silent()).calibration
        restricted = bring_up_to_date(index(documents(80, access=["staff"])), Silent(), again=True).calibration
        assert restricted.dense_weight == open_to_all.dense_weight
        assert restricted.lexical == open_to_all.lexical

    def test_pruning_takes_what_was_measured_along(self, index):
        made = index(documents(50))
        bring_up_to_date(made, Silent())
        for salt in "abc":
            made = index(documents(50, salt=salt))
            bring_up_to_date(made, Silent())
        kept = [folder.name for folder in made.published()]
        assert len(kept) == 3
        assert sorted(path.stem for path in made.calibration.iterdir()) == kept

    def test_where_questions_cannot_be_embedded_nothing_is_measured(self, tmp_path, make_index, jsonl):
        np.save(tmp_path / "v.npy", np.eye(3, 8, dtype=np.float32))
        lines = jsonl(tmp_path / "d.jsonl", [{"id": f"d{n}", "text": "One. Two."} for n in range(3)])
        make_index(tmp_path / "index", lines, request={"vectors": tmp_path / "v.npy"})
        made = IndexDirectory(tmp_path / "index")
        assert read_manifest(made.snapshots / made.require_current().name).query_encoders == []
        assert bring_up_to_date(made, Silent()).outcome == "no encoder"
        assert not made.calibration.exists()


class TestService:
    @pytest.fixture
    def made(self, index):
        return index(documents(60))

    @pytest.fixture
    def serve(self, made):
        """Opens services; each is closed at the end."""
        opened = []

        def serve(**settings):
            opened.append(Service(ServiceSettings(index=made.path, **settings)))
            opened[-1].reload()
            return opened[-1]

        yield serve
        for one in opened:
            one.close()

    @staticmethod
    def weight(service):
        with service.holder.lease() as engine:
            return engine.dense_weight

    def test_it_serves_by_the_default_until_it_is_calibrated_and_notices(self, made, serve):
        service = serve()
        assert self.weight(service) == DENSE_WEIGHT
        calibration = bring_up_to_date(made, Silent()).calibration
        assert calibration.dense_weight != DENSE_WEIGHT
        assert service.reload() is True
        assert self.weight(service) == calibration.dense_weight
        assert service.reload() is False

    def test_the_watcher_notices_what_comes_after_the_publish(self, made, serve):
        service = serve()
        watcher = Watcher(service)
        asyncio.run(watcher.look())
        assert self.weight(service) == DENSE_WEIGHT
        calibration = bring_up_to_date(made, Silent()).calibration
        asyncio.run(watcher.look())
        assert self.weight(service) == calibration.dense_weight
        calibration_file(made.calibration, calibration.snapshot).write_bytes(b"junk")
        asyncio.run(watcher.look())
        assert service.calibration_error is not None

    def test_a_setting_overrides_it(self, made, serve):
        bring_up_to_date(made, Silent())
        assert self.weight(serve(dense_weight=0.3)) == 0.3

    def test_a_damaged_one_is_told_and_the_default_holds_until_it_is_mended(self, made, serve):
        name = bring_up_to_date(made, Silent()).calibration.snapshot
        calibration_file(made.calibration, name).write_bytes(b"{}\nsha256 0\n")
        service = serve()
        assert self.weight(service) == DENSE_WEIGHT
        assert name in service.calibration_error
        assert service.degraded is None
        bring_up_to_date(made, Silent(), again=True)
        assert service.reload() is True
        assert service.calibration_error is None

    def test_explanations_tell_the_weight(self, serve):
        from service.answer import search
        from service.budget import Deadline
        from service.question import Question

        with serve(dense_weight=0.25).holder.lease() as engine:
            asked = Question(request_id="r", text="otter river", explain=True)
            told = asyncio.run(search(asked, engine, Deadline(engine.clock, None))).explain
        assert "0.25 * dense + 0.75 * lexical" in told["fusion"]


class TestRefusing:
    PROMISE = Promise(share_max=0.1, confidence=0.9)

    def test_peoples_questions_may_raise_and_lower_the_threshold(self):
        for least in (0.2, 0.8):
            found = refusing([least + number / 1000 for number in range(100)], "questions", self.PROMISE)
            assert found.below == found.bounded == pytest.approx(least + found.refused / 1000, abs=1e-4)
            assert found.bound <= 0.1

    def test_pseudo_questions_never_lower_it(self):
        low = refusing([number / 1000 for number in range(100)], "pseudo-questions", self.PROMISE)
        assert (low.below, low.bounded) == (None, pytest.approx(low.refused / 1000))
        high = refusing([0.8 + number / 1000 for number in range(100)], "pseudo-questions", self.PROMISE)
        assert high.below == high.bounded > ABSTAIN_BELOW

    @pytest.mark.parametrize("asked", ["questions", "pseudo-questions"])
    def test_too_few_leave_the_default(self, asked):
        found = refusing([0.9] * (self.PROMISE.questions_needed - 1), asked, self.PROMISE)
        assert (found.below, found.bounded, found.bound) == (None, None, None)

    def test_what_is_kept_never_refuses_more_than_what_was_found(self):
        assert refusing([0.12349] * 30, "questions", self.PROMISE).below == 0.1234

    @pytest.fixture
    def asked(self, tmp_path):
        """A set about the documents; of 30 questions that carry no flag and one that cannot be answered."""

        def make(count):
            folder = tmp_path / "asked"
            (folder / "qrels").mkdir(parents=True, exist_ok=True)
            rows = [{"_id": f"q{number}", "text": f"otter badger n{number}"} for number in range(count)]
            rows.append({"_id": "none", "text": "zebras", "answerable": False})
            (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
            (folder / "qrels" / "test.tsv").write_text("".join(f"q{number}\td{number}\t1\n" for number in range(count)))
            return read_set(str(folder))

        return make

    def test_without_flags_questions_count_as_answerable(self, index, asked):
        made = index(documents(60))
        found = bring_up_to_date(made, Silent(), again=True, questions=asked(30)).calibration.refusing
        assert (found.asked, found.answerable) == ("questions", 30)
        assert found.below is not None
        few = bring_up_to_date(made, Silent(), again=True, questions=asked(10)).calibration.refusing
        assert (few.answerable, few.below) == (10, None)

    def test_it_is_carried_over_with_the_weight(self, index, asked):
        first = bring_up_to_date(index(documents(60)), Silent(), again=True, questions=asked(30)).calibration
        made = index([*documents(60), {"id": "more", "text": "More. And more."}])
        done = bring_up_to_date(made, Silent())
        assert (done.outcome, done.calibration.refusing) == ("carried over", first.refusing)

    def test_one_of_version_1_is_measured_anew(self, index):
        made = index(documents(60))
        known = bring_up_to_date(made, Silent()).calibration
        with made.lock():
            old = known.model_copy(update={"version": 1, "refusing": None})
            write_calibration(made.calibration, old, made.disk)
        assert bring_up_to_date(made, Silent()).outcome == "measured"

    @pytest.mark.parametrize(
        ("below", "settings", "expected"),
        [(0.31, {}, 0.31), (None, {}, ABSTAIN_BELOW), (0.31, {"abstain_below": 0.7}, 0.7)],
    )
    def test_the_service_refuses_by_it_unless_it_is_told(self, index, below, settings, expected):
        made = index(documents(60))
        known = bring_up_to_date(made, Silent()).calibration
        found = known.refusing.model_copy(update={"below": below})
        with made.lock():
            write_calibration(made.calibration, known.model_copy(update={"refusing": found}), made.disk)
        service = Service(ServiceSettings(index=made.path, **settings))
        try:
            service.reload()
            with service.holder.lease() as engine:
                assert engine.abstain_below == expected
        finally:
            service.close()
