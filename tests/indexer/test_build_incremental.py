"""An index brought up to date step by step equals one built from nothing, whatever was done to its sources."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from store.embedding import HashEmbedder
from store.errors import SourceError
from store.index import IndexDirectory

WORDS = ["alpha", "beta", "gamma", "delta", "東京", "日本語", "😀", "connections", "max_connections", "the", "of"]


def some_text(dice: random.Random) -> str:
    return " ".join(dice.choices(WORDS, k=dice.choice([1, 3, 10, 60])))


def some_line(dice: random.Random) -> str:
    if dice.random() < 0.1:
        return "not json"
    one = {"id": f"id{dice.randrange(6)}", "text": some_text(dice) if dice.random() < 0.7 else "the same text"}
    if dice.random() < 0.3:
        one["metadata"] = {"n": dice.randrange(3)}
    if dice.random() < 0.2:
        one["access"] = ["staff"]
    return json.dumps(one)


def some_file(dice: random.Random, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("\n".join(some_line(dice) for _ in range(dice.randrange(1, 5))))
    elif path.suffix == ".md":
        sections = "".join(f"## {dice.choice(WORDS)}\n\n{some_text(dice)}\n\n" for _ in range(dice.randrange(3)))
        path.write_text(f"# {some_text(dice)[:20]}\n\n{some_text(dice)}\n\n{sections}")
    else:
        path.write_text(some_text(dice) if dice.random() < 0.9 else "")


NAMES = ["a.jsonl", "b.jsonl", "m.md", "n.txt", "sub/a.jsonl", "sub/o.md", "z.txt"]


def edit(dice: random.Random, folder: Path) -> None:
    """One to three random changes."""
    for _ in range(dice.randrange(1, 4)):
        path = folder / dice.choice(NAMES)
        other = folder / dice.choice([name for name in NAMES if Path(name).suffix == path.suffix])
        action = dice.random()
        if path.exists() and action < 0.25:
            path.unlink()
        elif path.exists() and action < 0.4:
            other.parent.mkdir(exist_ok=True, parents=True)
            path.rename(other)
        elif path.exists() and action < 0.5:
            other.parent.mkdir(exist_ok=True, parents=True)
            shutil.copyfile(path, other) if path != other else None
        elif path.exists() and action < 0.6:
            path.touch()
        else:
            some_file(dice, path)


def answers(index: Path) -> list[object]:
    """What some questions find, in both legs, for two askers."""
    encoder = HashEmbedder(64)
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(index).open(executor)
        try:
            found = []
            for question in ("alpha beta", "東京", "max connection"):
                for who in (frozenset(), frozenset({"staff"})):
                    (vector,) = encoder.encode_queries([question])
                    found.append(asyncio.run(snapshot.dense(vector, 10, None, who)))
                    found.append(asyncio.run(snapshot.lexical(question, 10, None, who)))
            return found
        finally:
            snapshot.close()


@pytest.mark.parametrize("seed", range(25))
def test_incremental_equals_full_for_a_random_history(seed, tmp_path, make_index, contents, embedded, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no crash is tested here
    dice = random.Random(seed)
    folder, extra, index = tmp_path / "pages", tmp_path / "extra", tmp_path / "index"
    for name in dice.sample(NAMES, 4):
        some_file(dice, folder / name)
    some_file(dice, extra / "x.jsonl")
    (extra / "always.txt").write_text("always there")
    ever: set[str] = set()
    for _ in range(3):
        sources = [folder, extra] if dice.random() < 0.8 else [extra, folder]
        embedded.texts.clear()
        make_index(index, *sources, passage_tokens=24, request={"allow_empty": True})
        assert len(set(embedded.texts)) == len(embedded.texts)
        assert not ever & set(embedded.texts), "a text was embedded a second time"
        ever.update(embedded.texts)

        again = make_index(index, *sources, passage_tokens=24, request={"allow_empty": True})
        assert not again.published

        full = tmp_path / "full"
        make_index(full, *sources, passage_tokens=24, request={"allow_empty": True})
        assert contents(index).comparable == contents(full).comparable
        assert answers(index) == answers(full)
        shutil.rmtree(full)
        if (folder / NAMES[0]).parent.exists():
            edit(dice, folder)


@pytest.mark.parametrize("seed", range(3))
def test_added_sources_equal_sources_given_together_when_no_ids_meet(seed, tmp_path, make_index, contents):
    dice = random.Random(seed)
    for name in ("one", "two"):
        for file in ("a.md", "b.txt", "c.md"):
            some_file(dice, tmp_path / name / file)
        (tmp_path / name / "always.txt").write_text("always there")
    make_index(tmp_path / "added", tmp_path / "one")
    make_index(tmp_path / "added", tmp_path / "two", request={"add": True})
    make_index(tmp_path / "together", tmp_path / "one", tmp_path / "two")
    assert contents(tmp_path / "added").comparable == contents(tmp_path / "together").comparable


def test_an_edit_that_empties_the_sources_changes_nothing(tmp_path, make_index, contents):
    folder = tmp_path / "pages"
    some_file(random.Random(1), folder / "m.md")
    make_index(tmp_path / "index", folder)
    before = contents(tmp_path / "index")
    (folder / "m.md").write_text("")
    with pytest.raises(SourceError):
        make_index(tmp_path / "index", folder)
    assert contents(tmp_path / "index") == before
