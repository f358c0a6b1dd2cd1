"""A start on a damaged snapshot: the newest kept one that verifies is served, and says so, until a good one comes."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from service.settings import ServiceSettings
from service.wiring import Service
from store.errors import FootnoteError, IndexMissing
from store.index import IndexDirectory


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """An index with generations 1 to 3; generation n holds "Otters wake n times."."""

    folder = tmp_path_factory.mktemp("three")
    source, index = folder / "d.jsonl", IndexDirectory(folder / "index")
    for number in (1, 2, 3):
        source.write_text(json.dumps({"id": "d", "text": f"Otters wake {number} times."}))
        build(index, Request([str(source)]), IndexerSettings(embedding_model="hash:64"), Silent())
    return folder


@pytest.fixture
def index(three, tmp_path) -> IndexDirectory:
    """A copy of it to do harm to, its source beside it."""
    shutil.copytree(three, tmp_path, dirs_exist_ok=True)
    return IndexDirectory(tmp_path / "index")


@pytest.fixture
def service(index):
    service = Service(ServiceSettings(index=index.path))
    yield service
    service.close()


def damage(index: IndexDirectory, generation: int, name: str = "vectors.f32") -> None:
    path = next(index.snapshots.glob(f"{generation:06d}-*")) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)


def start(service: Service) -> None:
    with pytest.raises(FootnoteError):
        service.reload()
    service.fall_back()


def served(service: Service) -> str:
    with service.holder.lease() as engine:
        (document,) = engine.snapshot.reader.document(id="d")
        assert document.text == f"Otters wake {engine.snapshot.facts.generation} times."
        return document.text


@pytest.mark.parametrize(
    "name", ["manifest.json", "passages.sqlite", "vectors.f32", "vectors.faiss", "ledger.jsonl", "terms/meta.json"]
)
def test_whichever_file_is_damaged_the_one_before_is_served_and_the_file_is_named(index, service, name):
    damage(index, 3, name)
    start(service)
    assert served(service) == "Otters wake 2 times."
    assert re.fullmatch(
        rf"serving generation 2: generation 3 is damaged: .*{name} is damaged: expected sha256 .*found sha256 .*",
        service.degraded,
    )


@pytest.mark.parametrize("content", [b"", b"../../etc x", b"000003-zzzzzzzz " + b"0" * 64 + b"\n"])
def test_without_a_readable_current_the_newest_that_verifies_is_served(index, service, content):
    index.current_file.write_bytes(content)
    start(service)
    assert served(service) == "Otters wake 3 times."
    assert re.match("serving generation 3: .*CURRENT is damaged", service.degraded)


def test_a_current_that_names_what_is_not_there_is_no_reason_to_serve_nothing(index, service):
    shutil.rmtree(index.published()[-1])
    start(service)
    assert served(service) == "Otters wake 2 times."


def test_what_is_damaged_too_is_passed_over(index, service):
    damage(index, 3)
    damage(index, 2, "ledger.jsonl")
    start(service)
    assert served(service) == "Otters wake 1 times."


def test_a_half_copied_one_is_passed_over(index, service):
    damage(index, 3)
    (index.published()[1] / "passages.sqlite").unlink()
    start(service)
    assert served(service) == "Otters wake 1 times."


def test_what_was_rolled_back_is_served_only_when_there_is_nothing_older(index, service):
    index.rollback(2)
    damage(index, 2)
    start(service)
    assert served(service) == "Otters wake 1 times."


def test_what_was_rolled_back_is_better_than_nothing(index, service):
    index.rollback(1)
    damage(index, 1)
    start(service)
    assert served(service) == "Otters wake 3 times."


def test_where_none_verifies_nothing_is_served_and_the_first_reason_stays(index, service):
    for generation in (1, 2, 3):
        damage(index, generation)
    start(service)
    assert not service.holder.ready
    assert "generation 3 is damaged" in service.last_error
    assert service.degraded is None


def test_snapshots_that_were_never_published_are_not_served(index, service):
    index.current_file.unlink()
    with pytest.raises(IndexMissing):
        service.reload()
    assert not service.fall_back()


def test_a_good_snapshot_published_later_takes_over_and_the_note_goes(index, service, make_index, jsonl, tmp_path):
    damage(index, 3)
    start(service)
    make_index(index.path, jsonl(tmp_path / "d.jsonl", [{"id": "d", "text": "Otters wake 4 times."}]))
    assert service.reload()
    assert served(service) == "Otters wake 4 times."
    assert service.degraded is None


def test_rolling_back_to_what_is_served_ends_the_note(index, service):
    damage(index, 3)
    start(service)
    index.rollback(2)
    assert service.reload()
    assert (served(service), service.degraded) == ("Otters wake 2 times.", None)


def test_rolling_back_from_a_damaged_one_that_was_never_opened_ends_the_note(index, service):
    index.rollback(2)
    assert service.reload()
    name = index.published()[-1].name
    damage(index, 3)
    index.current_file.write_text(f"{name} {'0' * 64}\n")
    with pytest.raises(FootnoteError):
        service.reload()
    assert service.degraded.startswith("serving generation 2: generation 3 is damaged")
    index.rollback(2)
    assert not service.reload()
    assert service.degraded is None


def test_nothing_falls_back_while_something_is_served(index, service):
    service.reload()
    assert not service.fall_back()
    assert served(service) == "Otters wake 3 times."
