"""Training rows are read as they are written, and what is wrong is named with its line."""

from __future__ import annotations

import gzip
import json

import pytest

from store.errors import UsageError
from training.rows import TrainingText, read_rows, source_files, source_name

ROW = {"query": "q", "positive": {"title": "T", "text": "p"}, "negatives": [{"title": "", "text": "n"}]}


def written(path, *rows):
    text = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)
    return path


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
def test_a_row_is_read(tmp_path, name):
    (row,) = read_rows(written(tmp_path / name, ROW), 10)
    assert row.question == "q"
    assert row.positive == TrainingText("T", "p")
    assert row.negatives == (TrainingText("", "n"),)


def test_negatives_and_titles_may_be_absent(tmp_path):
    (row,) = read_rows(written(tmp_path / "r.jsonl", {"query": "q", "positive": {"text": "p"}}), 10)
    assert (row.positive.title, row.negatives) == ("", ())


def test_of_many_rows_some_are_drawn_the_same_each_time(tmp_path):
    path = written(tmp_path / "r.jsonl", *({**ROW, "query": str(n)} for n in range(50)))
    drawn = [row.question for row in read_rows(path, 5, seed=3)]
    assert len(set(drawn)) == 5
    assert drawn == sorted(drawn, key=int)
    assert drawn == [row.question for row in read_rows(path, 5, seed=3)]
    assert drawn != [row.question for row in read_rows(path, 5, seed=4)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"positive": {"text": "p"}}, '"query"'),
        ({**ROW, "query": " "}, '"query"'),
        ({**ROW, "query": 3}, '"query"'),
        ({"query": "q"}, '"positive"'),
        ({**ROW, "positive": "p"}, '"positive"'),
        ({**ROW, "positive": {"title": "T"}}, '"positive"'),
        ({**ROW, "negatives": {}}, '"negatives" must be a list'),
        ({**ROW, "negatives": ["n"]}, '"negatives"'),
        ([], "must be an object"),
    ],
)
def test_a_bad_row_is_named_with_its_line(tmp_path, row, message):
    path = written(tmp_path / "rows.jsonl", ROW, row)
    with pytest.raises(UsageError, match=message) as refused:
        read_rows(path, 10)
    assert f"{path}:2" in str(refused.value)


def test_a_folder_brings_its_own_files_and_none_from_below(tmp_path):
    for name in ("b.jsonl.gz", "a.jsonl"):
        written(tmp_path / name, ROW)
    (tmp_path / "README.md").write_text("about")
    (tmp_path / "licence-unclear").mkdir()
    written(tmp_path / "licence-unclear" / "c.jsonl", ROW)
    assert [source_name(path) for path in source_files([tmp_path])] == ["a", "b"]


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        source_files([tmp_path / "nowhere"])
    with pytest.raises(UsageError, match=r"no \.jsonl") as refused:
        source_files([tmp_path])
    assert "positive" in refused.value.fix
    written(tmp_path / "a.jsonl", ROW)
    written(tmp_path / "a.jsonl.gz", ROW)
    with pytest.raises(UsageError, match="two training files are called a"):
        source_files([tmp_path])
