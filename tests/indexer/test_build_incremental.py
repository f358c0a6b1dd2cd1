"""An index brought up to date step by step equals one built from nothing, whatever was done to its sources."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import random
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import indexer.survey
from store.embedding import HashEmbedder
from store.errors import SourceError
from store.files import sha256_file
from store.index import IndexDirectory

WORDS = ["alpha", "beta", "gamma", "delta", "東京", "日本語", "😀", "connections", "max_connections", "the", "of"]
QUESTIONS = ("alpha beta", "東京", "max connection", "Haus", "дом", "house")
UNREADABLE = b"UNREADABLE"
"""A file that begins so cannot be read, here and in every copy of it."""
DETERMINISTIC = ("passages.sqlite", "vectors.f32", "vectors.faiss", "ledger.jsonl")

SOURCES = {
    "lines": "lines.jsonl",
    "more": "more",
    "pages": "pages",
}
"""Name of each source, and what it is called on disk: one file of lines, two folders."""
FILES = {
    "lines": ["lines.jsonl"],
    "more": ["a.jsonl", "m.md", "z.txt"],
    "pages": ["a.jsonl", "b.jsonl", "m.md", "n.txt", "sub/a.jsonl", "sub/o.md", "z.txt"],
}


SENTENCES = [
    "Das ist die Beschreibung der Häuser und nicht der Straßen.",
    "Это описание домов, и не только улиц города.",
    "These are the houses of the city, and not its streets.",
]


def some_text(dice: random.Random) -> str:
    words = dice.choices(WORDS, k=dice.choice([1, 3, 10, 60]))
    return " ".join([dice.choice(SENTENCES), *words] if dice.random() < 0.3 else words)


def some_line(dice: random.Random) -> str:
    if dice.random() < 0.08:
        return dice.choice(["not json", '{"id": "nothing"}', "", '{"id": "blank", "text": "  "}'])
    # Few ids, so that they meet; one of them is that of a file.
    one: dict[str, Any] = {"id": dice.choice(["id0", "id1", "id2", "id3", "id4", "id5", "pages/z.txt"])}
    one["text"] = some_text(dice) if dice.random() < 0.6 else "the same text"
    if dice.random() < 0.3:
        one["metadata"] = {"n": dice.randrange(3)}
    if dice.random() < 0.2:
        one["access"] = ["staff"]
    if dice.random() < 0.2:
        one["title"] = dice.choice(WORDS)
    return json.dumps(one)


def write_some(dice: random.Random, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".jsonl":
        path.write_text("\n".join(some_line(dice) for _ in range(dice.randrange(1, 5))))
    elif path.suffix == ".md":
        sections = "".join(f"## {dice.choice(WORDS)}\n\n{some_text(dice)}\n\n" for _ in range(dice.randrange(3)))
        front = f"---\nyear: {dice.randrange(3)}\n---\n" if dice.random() < 0.4 else ""
        path.write_text(f"{front}# {some_text(dice)[:20]}\n\n{some_text(dice)}\n\n{sections}")
    else:
        path.write_text(some_text(dice))


def edit_lines(dice: random.Random, path: Path, others: list[Path]) -> None:
    """Remove, move, repeat, re-describe or hide one line of a file of lines."""
    lines = path.read_text().split("\n")
    at = dice.randrange(len(lines))
    action = dice.choice(["remove", "move", "repeat", "metadata", "access", "shuffle"])
    if action == "shuffle":
        dice.shuffle(lines)
    elif action in ("metadata", "access"):
        try:
            one = json.loads(lines[at])
            one[action] = {"n": dice.randrange(9)} if action == "metadata" else dice.choice([[], ["staff"], ["board"]])
            lines[at] = json.dumps(one)
        except ValueError:
            pass
    else:
        line = lines[at] if action == "repeat" else lines.pop(at)
        if action != "remove":
            other = dice.choice(others)
            other.parent.mkdir(parents=True, exist_ok=True)
            if other != path:
                kept = other.read_text() if other.exists() else ""
                other.write_text(f"{line}\n{kept}" if dice.random() < 0.5 else f"{kept}\n{line}")
            else:
                lines.append(line)
    path.write_text("\n".join(lines))


def edit(dice: random.Random, here: Path) -> str:
    """One random change of one file; returns what was done."""
    name = dice.choice(list(SOURCES))
    root = here / SOURCES[name] if name != "lines" else here
    path = root / dice.choice(FILES[name])
    alike = [root / other for other in FILES[name] if Path(other).suffix == path.suffix]
    everywhere = [here / "lines.jsonl", here / "more/a.jsonl", here / "pages/a.jsonl", here / "pages/b.jsonl"]
    action = dice.choices(
        ["write", "delete", "rename", "copy", "touch", "empty", "unreadable", "lines"], [6, 3, 2, 1, 1, 1, 1, 6]
    )[0]
    if not path.exists() or action == "write":
        write_some(dice, path)
    elif action == "delete":
        path.unlink()
    elif action in ("rename", "copy"):
        other = dice.choice(alike)
        other.parent.mkdir(exist_ok=True, parents=True)
        if other != path:
            shutil.copyfile(path, other)
            if action == "rename":
                path.unlink()
    elif action == "touch":
        path.touch()
    elif action == "empty":
        path.write_bytes(b"")
    elif action == "unreadable":
        path.write_bytes(UNREADABLE + path.read_bytes())
    elif path.suffix == ".jsonl":
        edit_lines(dice, path, everywhere)
    else:
        write_some(dice, path)
    return f"{action} {path.relative_to(here)}"


def sha256_where_readable(path: Path) -> str:
    if path.read_bytes().startswith(UNREADABLE):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return sha256_file(path)


def answers(index: Path, dimension: int) -> list[object]:
    """What some questions find, in both legs, for two askers: passages and scores."""
    encoder = HashEmbedder(dimension)
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(index).open(executor)

        async def ask() -> list[object]:
            found: list[object] = []
            for question in QUESTIONS:
                (vector,) = encoder.encode_queries([question])
                for who in (frozenset(), frozenset({"staff"})):
                    found.append(await snapshot.dense(vector, 10, None, who))
                    found.append(await snapshot.lexical(question, 10, None, who))
            return found

        try:
            return asyncio.run(ask())
        finally:
            snapshot.close()


def found_for(index: Path, texts: list[str], dimension: int) -> set[str]:
    """Ids of all documents that any of the texts, asked for in either leg by one who may see much, finds."""
    encoder, staff = HashEmbedder(dimension), frozenset({"staff", "board"})
    with ThreadPoolExecutor(1) as executor:
        snapshot = IndexDirectory(index).open(executor)

        async def ask() -> set[str]:
            hits = []
            for text, vector in zip(texts, encoder.encode_queries(texts), strict=True):
                hits += await snapshot.dense(vector, 1000, None, staff)
                hits += await snapshot.lexical(text, 1000, None, staff)
            stored = await snapshot.passages([hit.passage_id for hit in hits], staff)
            return {one.document.id for one in stored.values()}

        try:
            return asyncio.run(ask())
        finally:
            snapshot.close()


@dataclass
class World:
    """One index, its sources, and what they were when each was last given."""

    folder: Path
    dice: random.Random
    make_index: Any
    contents: Any
    embedded: Any
    given: dict[str, Path] = field(default_factory=dict)
    generations: dict[int, dict[str, Path]] = field(default_factory=dict)
    ever: dict[str, set[str]] = field(default_factory=dict)
    settings: dict[str, Any] = field(
        default_factory=lambda: {"model": "hash:16", "passage_tokens": 24, "language": "auto"}
    )
    story: list[str] = field(default_factory=list)
    copies: int = 0

    @property
    def index(self) -> Path:
        return self.folder / "index"

    def copy_of(self, name: str) -> Path:
        """A copy of a source as it is now (of one that is missing: a path where nothing is)."""
        self.copies += 1
        live, copy = self.folder / SOURCES[name], self.folder / "copies" / str(self.copies) / SOURCES[name]
        copy.parent.mkdir(parents=True)
        if live.is_dir():
            shutil.copytree(live, copy)
        elif live.exists():
            shutil.copyfile(live, copy)
        return copy

    def change_settings(self) -> None:
        for name, values in (
            ("passage_tokens", [16, 24, 40]),
            ("language", ["auto", "auto", "none", "german"]),
            ("passage_header", [True, False]),
            ("model", ["hash:16", "hash:8"]),
        ):
            if self.dice.random() < 0.12:
                self.settings[name] = self.dice.choice(values)
                self.story.append(f"{name} {self.settings[name]}")

    def run(self) -> None:
        """One run of the build, and everything that must hold after it."""
        dice = self.dice
        add = bool(self.given) and dice.random() < 0.45
        names = dice.sample(list(SOURCES), dice.choice([1, 1, 2] if add else [3, 3, 2]))
        sources = [f"{name}={self.folder / SOURCES[name]}" for name in names]
        request = {"allow_empty": dice.random() < 0.85, "add": add}
        self.story.append(f"index {'--add ' if add else ''}{' '.join(names)} {request}")
        before = self.contents(self.index).comparable if self.given else None
        self.embedded.texts.clear()
        try:
            report = self.make_index(self.index, *sources, request=request, keep_generations=3, **self.settings)
        except SourceError:
            assert not request["allow_empty"]
            assert before is None or self.contents(self.index).comparable == before
            self.embedded.texts.clear()
            return
        self.given = (self.given if add else {}) | {name: self.copy_of(name) for name in names}
        self.generations[report.generation] = self.given
        now = list(self.embedded.texts)

        again = self.make_index(self.index, *sources, request=request, **self.settings)
        assert not again.published
        assert self.embedded.texts == now

        self.embedded.texts.clear()
        full = self.folder / "full"
        given = [f"{name}={path}" for name, path in self.given.items()]
        self.make_index(full, *given, request={"allow_empty": True}, **self.settings)
        seen = self.ever.setdefault(self.settings["model"], set())
        assert sorted(now) == sorted(set(self.embedded.texts) - seen), "embedded again, or too little"
        seen.update(now)
        self.compare(full, before)
        shutil.rmtree(full)

    def compare(self, full: Path, before: Any) -> None:
        ours, anew = self.contents(self.index), self.contents(full)
        assert ours.ledger == anew.ledger
        assert ours.comparable == anew.comparable
        for name in DETERMINISTIC:
            assert ours.manifest["files"][name] == anew.manifest["files"][name], name
        dimension = int(self.settings["model"].partition(":")[2])
        assert answers(self.index, dimension) == answers(full, dimension)
        if before is not None:
            gone = [one for one in before[0] if one.header.id not in ours.ids]
            assert found_for(self.index, [one.text for one in gone], dimension) <= set(ours.ids)

    def roll_back(self) -> None:
        directory = IndexDirectory(self.index)
        kept = [manifest.generation for _, manifest in directory.history()]
        chosen = self.dice.choice(kept)
        directory.rollback(chosen)
        self.given = self.generations[chosen]
        self.story.append(f"rollback {chosen}")


def play(seed: int, folder: Path, make_index: Any, contents: Any, embedded: Any, *, runs: int) -> None:
    """One edit script; a failure tells its story."""
    dice = random.Random(seed)
    world = World(folder, dice, make_index, contents, embedded)
    folder.mkdir(parents=True, exist_ok=True)
    write_some(dice, folder / "lines.jsonl")
    for name in ("pages", "more"):
        for file in dice.sample(FILES[name], 3):
            write_some(dice, folder / name / file)
    try:
        for _ in range(runs):
            world.run()
            for _ in range(dice.randrange(1, 5)):
                world.story.append(edit(dice, folder))
            world.change_settings()
            if world.given and dice.random() < 0.1:
                world.roll_back()
    except BaseException as error:
        error.add_note(f"seed {seed}: " + "; ".join(world.story))
        raise


@pytest.fixture
def player(tmp_path, make_index, contents, embedded, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)  # no crash is tested here
    monkeypatch.setattr(indexer.survey, "sha256_file", sha256_where_readable)

    def plays(seed: int, runs: int) -> None:
        play(seed, tmp_path / str(seed), make_index, contents, embedded, runs=runs)
        shutil.rmtree(tmp_path / str(seed))

    return plays


@pytest.mark.parametrize("ten", range(10))
def test_after_every_step_of_an_edit_script_the_index_equals_one_built_anew(ten, player):
    for seed in range(10 * ten, 10 * ten + 10):
        player(seed, runs=3)


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_after_every_step_of_a_thousand_longer_edit_scripts_the_index_equals_one_built_anew(player):
    for seed in range(1000, 2000):
        player(seed, runs=6)


def test_an_edit_that_empties_the_sources_changes_nothing(tmp_path, make_index, contents):
    folder = tmp_path / "pages"
    write_some(random.Random(1), folder / "m.md")
    make_index(tmp_path / "index", folder)
    before = contents(tmp_path / "index")
    (folder / "m.md").write_text("")
    with pytest.raises(SourceError):
        make_index(tmp_path / "index", folder)
    assert contents(tmp_path / "index") == before
