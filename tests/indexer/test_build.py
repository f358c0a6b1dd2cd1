"""The build: what is read again, embedded again and published again, and what is not."""

from __future__ import annotations

import asyncio
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest

from store.errors import IndexLocked, SourceError, UsageError
from store.index import IndexDirectory


@pytest.fixture
def pages(tmp_path):
    """A folder of three files."""
    folder = tmp_path / "pages"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.txt").write_text("Alpha is the first letter.")
    (folder / "b.md").write_text("# Beta\n\nBeta is the second letter.\n")
    (folder / "sub" / "c.html").write_text("<html><head><title>Gamma</title></head><body><p>Gamma is third.</p></body>")
    return folder


class TestRefusals:
    def test_a_missing_source_publishes_nothing(self, tmp_path, pages, make_index):
        with pytest.raises(SourceError, match="nowhere does not exist"):
            make_index(tmp_path / "index", pages, tmp_path / "nowhere")
        assert IndexDirectory(tmp_path / "index").current() is None

    def test_no_source_at_all_is_refused(self, tmp_path, make_index):
        with pytest.raises(SourceError, match="no source was given"):
            make_index(tmp_path / "index")

    def test_nothing_to_index_names_the_reasons(self, tmp_path, make_index):
        (tmp_path / "pages").mkdir()
        with pytest.raises(SourceError, match="nothing to index: no files were found"):
            make_index(tmp_path / "index", tmp_path / "pages")
        (tmp_path / "pages" / "empty.txt").touch()
        with pytest.raises(SourceError, match=r"nothing to index: pages/empty.txt: the file is empty.*--allow-empty"):
            make_index(tmp_path / "index", tmp_path / "pages")
        assert IndexDirectory(tmp_path / "index").current() is None

    def test_a_source_that_went_missing_or_empty_deletes_nothing(self, tmp_path, pages, make_index, contents):
        index = tmp_path / "index"
        make_index(index, pages)
        before = contents(index)
        pages.rename(tmp_path / "aside")
        with pytest.raises(SourceError, match="does not exist"):
            make_index(index, pages)
        pages.mkdir()
        with pytest.raises(SourceError, match=r"'pages'.*had documents and now has none.*--allow-empty"):
            make_index(index, pages)
        assert contents(index) == before

    def test_one_emptied_source_of_two_is_refused_too(self, tmp_path, pages, make_index, jsonl):
        lines = jsonl(tmp_path / "s.jsonl", [{"id": "x", "text": "x"}])
        make_index(tmp_path / "index", pages, lines)
        lines.write_text("")
        with pytest.raises(SourceError, match=r"'s.jsonl'.*now has none"):
            make_index(tmp_path / "index", pages, lines)

    def test_allow_empty_empties_the_index_and_it_still_answers(self, tmp_path, pages, make_index, contents):
        index = tmp_path / "index"
        make_index(index, pages)
        shutil.rmtree(pages)
        report = make_index(index, pages, request={"allow_empty": True})
        assert (report.published, report.documents, report.passages) == (True, 0, 0)
        assert contents(index).documents == []
        pages.mkdir()
        assert not make_index(index, pages, request={"allow_empty": True}).published
        (pages / "new.txt").write_text("new")
        assert make_index(index, pages).documents == 1

    @pytest.mark.parametrize("model", ["hash:", "hash:x", "hash:1", "hash:5000", "no/such/model"])
    def test_an_embedding_model_that_is_none_is_refused_by_name(self, tmp_path, pages, make_index, model):
        with pytest.raises(UsageError, match=model):
            make_index(tmp_path / "index", pages, model=model)

    def test_a_second_build_at_once_is_refused(self, tmp_path, pages, make_index):
        with IndexDirectory(tmp_path / "index").lock(), pytest.raises(IndexLocked, match=str(os.getpid())):
            make_index(tmp_path / "index", pages)


class TestWhatIsDoneAgain:
    def test_nothing_changed_publishes_nothing_even_when_files_were_touched(
        self, tmp_path, pages, make_index, embedded
    ):
        first = make_index(tmp_path / "index", pages)
        for path in pages.rglob("*.*"):
            os.utime(path, (1, 1))
        again = make_index(tmp_path / "index", pages)
        assert (again.published, again.snapshot, again.embedded) == (False, first.snapshot, 0)
        assert (again.documents, again.outcomes) == (first.documents, first.outcomes)
        assert len(IndexDirectory(tmp_path / "index").published()) == 1
        assert len(embedded.texts) == first.passages

    def test_the_order_of_sources_changes_nothing(self, tmp_path, pages, make_index, contents, jsonl):
        one, other = (jsonl(tmp_path / f"{name}.jsonl", [{"id": "x", "text": f"from {name}"}]) for name in "rs")
        make_index(tmp_path / "index", pages, one, other)
        assert not make_index(tmp_path / "index", other, one, pages).published
        make_index(tmp_path / "other", other, pages, one)
        assert contents(tmp_path / "other").comparable == contents(tmp_path / "index").comparable

    def test_a_new_a_changed_and_a_deleted_file(self, tmp_path, pages, make_index, contents, embedded):
        index = tmp_path / "index"
        make_index(index, pages)
        embedded.texts.clear()
        (pages / "d.txt").write_text("Delta is new.")
        (pages / "a.txt").write_text("Alpha changed.")
        (pages / "b.md").unlink()
        report = make_index(index, pages)
        assert contents(index).ids == ["pages/a.txt", "pages/d.txt", "pages/sub/c.html"]
        assert len(embedded.texts) == report.embedded == 2
        assert report.reused == 1

    def test_a_renamed_file_is_a_new_document_whose_text_is_not_embedded_again(
        self, tmp_path, make_index, contents, embedded, jsonl
    ):
        folder = tmp_path / "pages"
        folder.mkdir()
        jsonl(folder / "one.jsonl", [{"id": "x", "text": "the text"}])
        make_index(tmp_path / "index", folder)
        embedded.texts.clear()
        (folder / "one.jsonl").rename(folder / "two.jsonl")
        report = make_index(tmp_path / "index", folder)
        assert (report.published, report.embedded) == (True, 0)
        (entry,) = contents(tmp_path / "index").entries()
        assert (entry.file, entry.document_id) == ("two.jsonl", "x")

    def test_changed_metadata_makes_a_new_version_with_the_same_passages(
        self, tmp_path, make_index, contents, embedded, jsonl
    ):
        index, source = tmp_path / "index", tmp_path / "s.jsonl"
        make_index(index, jsonl(source, [{"id": "x", "text": "the text", "metadata": {"year": 1}}]))
        before = contents(index)
        embedded.texts.clear()
        report = make_index(index, jsonl(source, [{"id": "x", "text": "the text", "metadata": {"year": 2}}]))
        after = contents(index)
        assert report.published
        assert embedded.texts == []
        assert after.documents[0].header.version != before.documents[0].header.version
        assert [row for row, _ in after.passages] == [row for row, _ in before.passages]

    def test_a_changed_access_list_is_published_though_the_version_stays(self, tmp_path, make_index, contents, jsonl):
        index, source = tmp_path / "index", tmp_path / "s.jsonl"
        make_index(index, jsonl(source, [{"id": "x", "text": "the text"}]))
        before = contents(index).documents[0].header
        assert make_index(index, jsonl(source, [{"id": "x", "text": "the text", "access": ["staff"]}])).published
        after = contents(index).documents[0].header
        assert (after.version, after.access) == (before.version, frozenset({"staff"}))

    def test_a_changed_title_embeds_the_document_again(self, tmp_path, make_index, embedded, jsonl):
        index, source = tmp_path / "index", tmp_path / "s.jsonl"
        make_index(index, jsonl(source, [{"id": "x", "title": "One", "text": "the text"}]))
        assert make_index(index, jsonl(source, [{"id": "x", "title": "Two", "text": "the text"}])).embedded == 1
        assert embedded.texts == ["One\nthe text", "Two\nthe text"]

    @pytest.mark.parametrize(
        ("settings", "embeds_again"),
        [
            ({"passage_tokens": 16}, True),
            ({"language": "german"}, False),
            ({"base_url": "https://e.org"}, False),
            ({"passage_header": False}, True),
        ],
    )
    def test_other_settings_publish_anew(self, tmp_path, make_index, jsonl, settings, embeds_again):
        source = tmp_path / "pages"
        source.mkdir()
        (source / "a.txt").write_text("one two three four. " * 12)
        make_index(tmp_path / "index", source)
        report = make_index(tmp_path / "index", source, **settings)
        assert report.published
        assert bool(report.embedded) is embeds_again
        assert not make_index(tmp_path / "index", source, **settings).published

    def test_without_a_header_neither_vectors_nor_terms_know_the_title_and_the_manifest_says_so(
        self, tmp_path, make_index, embedded, jsonl, contents
    ):
        index, source = tmp_path / "index", tmp_path / "s.jsonl"
        jsonl(source, [{"id": "x", "title": "One", "text": "the text"}])
        make_index(index, source, passage_header=False)
        assert embedded.texts == ["the text"]
        assert contents(index).manifest["splitter"]["header"] is False

        def found(words):
            with ThreadPoolExecutor(1) as executor:
                snapshot = IndexDirectory(index).open(executor)
                hits = asyncio.run(snapshot.lexical(words, 5, None, frozenset()))
                snapshot.close()
            return len(hits)

        assert (found("one"), found("text")) == (0, 1)
        assert make_index(index, source).embedded == 1
        assert embedded.texts == ["the text", "One\nthe text"]
        assert found("one") == 1

    def test_another_model_embeds_everything_again(self, tmp_path, pages, make_index, contents):
        first = make_index(tmp_path / "index", pages)
        report = make_index(tmp_path / "index", pages, model="hash:32")
        assert report.published
        assert report.embedded == first.passages
        assert contents(tmp_path / "index").manifest["space"]["dimension"] == 32

    def test_text_that_came_back_is_not_embedded_again(self, tmp_path, pages, make_index, embedded):
        index = tmp_path / "index"
        make_index(index, pages)
        kept = (pages / "a.txt").read_text()
        (pages / "a.txt").unlink()
        make_index(index, pages)
        embedded.texts.clear()
        (pages / "a.txt").write_text(kept)
        assert make_index(index, pages).embedded == 0
        assert embedded.texts == []

    def test_equal_texts_are_embedded_once(self, tmp_path, make_index, embedded, jsonl):
        report = make_index(
            tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": f"{n}", "text": "same"} for n in range(9)])
        )
        assert (report.passages, embedded.texts) == (9, ["same"])


class TestSources:
    def test_the_index_holds_exactly_the_sources_given(self, tmp_path, pages, make_index, contents, jsonl):
        lines = jsonl(tmp_path / "s.jsonl", [{"id": "x", "text": "x"}])
        make_index(tmp_path / "index", pages, lines)
        make_index(tmp_path / "index", lines)
        assert contents(tmp_path / "index").ids == ["x"]

    def test_add_keeps_what_other_sources_brought(self, tmp_path, pages, make_index, contents, embedded, jsonl):
        index, lines = tmp_path / "index", jsonl(tmp_path / "s.jsonl", [{"id": "x", "text": "x"}, {"id": "y"}])
        make_index(index, lines)
        before = contents(index)
        make_index(index, pages, request={"add": True})
        after = contents(index)
        assert after.ids == ["pages/a.txt", "pages/b.md", "pages/sub/c.html", "x"]
        assert [line for line in after.ledger if line.source == "s.jsonl"] == before.ledger
        assert not make_index(index, pages, request={"add": True}).published
        (pages / "b.md").unlink()
        make_index(index, pages, request={"add": True})
        assert contents(index).ids == ["pages/a.txt", "pages/sub/c.html", "x"]

    def test_a_named_source_gives_its_name_to_ids(self, tmp_path, pages, make_index, contents):
        make_index(tmp_path / "index", f"docs={pages}")
        assert contents(tmp_path / "index").ids == ["docs/a.txt", "docs/b.md", "docs/sub/c.html"]

    def test_globs_choose_files(self, tmp_path, pages, make_index, contents):
        make_index(tmp_path / "index", pages, request={"include": ["*.txt", "*.html"], "exclude": ["sub"]})
        assert contents(tmp_path / "index").ids == ["pages/a.txt"]

    def test_a_base_url_gives_files_their_address(self, tmp_path, pages, make_index, contents):
        make_index(tmp_path / "index", pages, base_url="https://example.org/docs/")
        assert [one.header.url for one in contents(tmp_path / "index").documents] == [
            "https://example.org/docs/a.txt",
            "https://example.org/docs/b.md",
            "https://example.org/docs/sub/c.html",
        ]

    def test_titles_sections_and_access_are_stored(self, tmp_path, make_index, contents, jsonl):
        folder = tmp_path / "pages"
        jsonl(folder / "s.jsonl", [{"id": "x", "text": "x", "access": ["a", "b"]}])
        (folder / "b.md").write_text("# Beta\n\nIntro.\n\n## Use\n\nUse it.\n")
        make_index(tmp_path / "index", folder, passage_tokens=16)
        by_id = {one.header.id: one for one in contents(tmp_path / "index").documents}
        assert by_id["x"].header.access == {"a", "b"}
        assert by_id["pages/b.md"].header.title == "Beta"
        assert [section.title for section in by_id["pages/b.md"].sections][-1] == "Use"

    def test_snapshots_beyond_those_to_keep_are_removed_after_publishing(self, tmp_path, make_index, jsonl):
        for number in range(5):
            report = make_index(
                tmp_path / "index",
                jsonl(tmp_path / "s.jsonl", [{"id": "x", "text": f"number {number}"}]),
                keep_generations=2,
            )
        assert [name[:6] for name in report.removed] == ["000003"]
        assert [path.name[:6] for path in IndexDirectory(tmp_path / "index").published()] == ["000004", "000005"]


class TestLedger:
    def test_every_input_is_accounted_for_with_its_reason(self, tmp_path, make_index, contents):
        folder = tmp_path / "pages"
        folder.mkdir()
        (folder / "good.txt").write_text("good text")
        (folder / "empty.txt").touch()
        (folder / "blank.md").write_text("  \n\n ")
        (folder / "image.png").write_bytes(b"\x89PNG")
        (folder / "binary.txt").write_bytes(b"ab\x00\x01\x02" * 50)
        (folder / "s.jsonl").write_text(
            '{"id": "one", "text": "first"}\nnot json\n{"text": "no id"}\n{"id": "two", "text": "second"}\n'
            '{"id": "one", "text": "first"}\n{"id": "two", "text": "other"}\n'
            '{"id": "bad", "text": "t", "metadata": 5}\n'
        )
        report = make_index(tmp_path / "index", folder)
        found = {(entry.input, entry.outcome, entry.reason) for entry in contents(tmp_path / "index").entries()}
        outcomes = {(name.removeprefix("pages/"), outcome, reason) for name, outcome, reason in found}
        assert {name for name, _, _ in outcomes} >= {"good.txt", "empty.txt", "blank.md", "image.png", "binary.txt"}
        assert ("good.txt", "indexed", None) in outcomes
        assert {one for one in outcomes if one[0] in ("empty.txt", "blank.md")} == {
            ("empty.txt", "empty", "empty"),
            ("blank.md", "empty", "empty"),
        }
        assert ("image.png", "quarantined", "unsupported") in outcomes
        assert ("binary.txt", "quarantined", "binary") in outcomes
        assert ("s.jsonl:2", "quarantined", "malformed") in outcomes
        assert ("s.jsonl:3", "quarantined", "bad_id") in outcomes
        assert ("s.jsonl:7", "quarantined", "malformed") in outcomes
        assert ("s.jsonl#one", "duplicate", "duplicate") in outcomes
        assert ("s.jsonl#two", "quarantined", "collision") in outcomes
        assert report.outcomes == {"indexed": 3, "duplicate": 1, "empty": 2, "quarantined": 6}
        assert {entry.outcome for entry in report.problems} == {"empty", "quarantined"}
        assert all(entry.message for entry in report.problems)
        assert contents(tmp_path / "index").manifest["counts"]["quarantined"] == 6

    def test_the_ledger_is_repeated_when_nothing_or_something_else_changed(self, tmp_path, pages, make_index, contents):
        (pages / "bad.txt").write_bytes(b"\x00\x01\x02\x03" * 30)
        (pages / "s.jsonl").write_text('{"id": "z", "text": "t"}\nbroken\n{"id": "a", "text": "t"}\n')
        first = make_index(tmp_path / "index", pages)
        before = contents(tmp_path / "index").ledger
        again = make_index(tmp_path / "index", pages)
        assert [asdict(entry) for entry in again.problems] == [asdict(entry) for entry in first.problems]
        (pages / "new.txt").write_text("new")
        make_index(tmp_path / "index", pages)
        after = contents(tmp_path / "index").ledger
        assert [line for line in after if line.file != "new.txt"] == before

    def test_a_document_that_gave_way_returns_when_what_it_gave_way_to_is_gone(
        self, tmp_path, make_index, contents, jsonl
    ):
        index, folder = tmp_path / "index", tmp_path / "pages"
        jsonl(folder / "a.jsonl", [{"id": "x", "text": "from a"}, {"id": "y", "text": "same"}])
        jsonl(folder / "b.jsonl", [{"id": "x", "text": "from b"}, {"id": "y", "text": "same"}])
        make_index(index, folder)
        assert [one.text for one in contents(index).documents] == ["from a", "same"]
        assert sorted(entry.reason for entry in contents(index).entries("duplicate", "quarantined")) == [
            "collision",
            "duplicate",
        ]
        (folder / "a.jsonl").unlink()
        make_index(index, folder)
        assert [one.text for one in contents(index).documents] == ["from b", "same"]
        assert contents(index).entries("duplicate", "quarantined") == []

    def test_metadata_that_json_cannot_carry_sets_the_document_aside(self, tmp_path, make_index, contents):
        nested = {n: '{"a": ' * n + "1" + "}" * n for n in range(50, 1000, 25)}
        deep = [f'{{"id": "{n}", "text": "t", "metadata": {metadata}}}' for n, metadata in nested.items()]
        big = '{"id": "big", "text": "t", "metadata": {"n": 12345678901234567890}}'
        (tmp_path / "s.jsonl").write_text("\n".join([big, *deep, '{"id": "ok", "text": "t"}']))
        report = make_index(tmp_path / "index", tmp_path / "s.jsonl")
        assert {"50", "ok"} <= set(contents(tmp_path / "index").ids)
        assert sum(report.outcomes.values()) == len(deep) + 2
        assert "big" in {entry.document_id for entry in report.problems}
        make_index(tmp_path / "index", tmp_path / "s.jsonl", language="none")  # carried over, not read

    def test_an_unreadable_file_is_set_aside_and_read_when_it_can_be(self, tmp_path, pages, make_index, monkeypatch):
        import indexer.survey

        real = indexer.survey.sha256_file

        def failing(path):
            if path.name == "a.txt":
                raise PermissionError(13, "Permission denied")
            return real(path)

        with monkeypatch.context() as patch:
            patch.setattr(indexer.survey, "sha256_file", failing)
            report = make_index(tmp_path / "index", pages)
            assert [(one.input, one.reason) for one in report.problems] == [("pages/a.txt", "unreadable")]
            assert not make_index(tmp_path / "index", pages).published
        assert make_index(tmp_path / "index", pages).documents == 3
