"""Commands that publish weigh the legs afterwards, and end as they would have without."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from store.calibration import calibration_file
from store.index import IndexDirectory
from tests.footnote.test_cli import run

WORDS = ["otter", "badger", "heron", "salmon", "beaver", "falcon", "lynx", "marten", "river", "stone", "meadow"]


@pytest.fixture
def notes(tmp_path):
    """Texts enough to be asked about."""
    (tmp_path / "notes").mkdir()
    dice = random.Random(1)
    for number in range(50):
        sentences = [" ".join(dice.sample(WORDS, 6)).capitalize() + f" n{number}." for _ in range(5)]
        (tmp_path / "notes" / f"{number}.txt").write_text(" ".join(sentences))
    return tmp_path


def calibrations(folder):
    index = IndexDirectory(folder / "data" / "index")
    return index, calibration_file(index.calibration, index.require_current().name)


def test_index_tells_the_weight_once(notes):
    first = run("index", "notes", cwd=notes)
    assert "50 pseudo-questions" in first.stdout
    assert calibrations(notes)[1].is_file()
    assert "pseudo-questions" not in run("index", "notes", cwd=notes).stdout


def test_json_stays_json_and_inputs_set_aside_stay_exit_code_3(notes):
    (notes / "notes" / "bad.txt").write_bytes(b"\x00\x01\x02" * 100)
    done = run("index", "notes", "--json", cwd=notes)
    assert done.returncode == 3
    assert json.loads(done.stdout)["published"] is True
    assert calibrations(notes)[1].is_file()


def test_it_can_be_switched_off_and_made_up_for(notes):
    run("index", "notes", cwd=notes, FOOTNOTE_CALIBRATE="false")
    index, file = calibrations(notes)
    assert not file.exists()
    told = run("calibrate", "--json", cwd=notes)
    assert json.loads(told.stdout)["snapshot"] == index.require_current().name
    assert file.is_file()


def test_after_forgetting_and_importing_the_new_snapshot_has_a_weight_too(notes):
    run("index", "notes", cwd=notes)
    assert run("forget", "notes/7.txt", "--yes", cwd=notes).returncode == 0
    assert calibrations(notes)[1].is_file()
    run("export", "a.tar", cwd=notes)
    done = run("import", "a.tar", "--index", "data/other", cwd=notes)
    assert "pseudo-questions" in done.stdout
    assert len(list((notes / "data" / "other" / "calibration").iterdir())) == 1


def test_verify_names_a_damaged_one_and_index_makes_it_anew(notes):
    run("index", "notes", cwd=notes)
    _, file = calibrations(notes)
    file.write_bytes(file.read_bytes().replace(b"0", b"1", 1))
    told = run("verify", cwd=notes)
    assert told.returncode == 1
    assert f"calibration/{file.name}" in told.stdout
    run("index", "notes", cwd=notes)
    assert run("verify", cwd=notes).returncode == 0


def test_without_a_query_encoder_the_command_says_what_to_do(notes):
    import numpy as np

    np.save(notes / "v.npy", np.eye(3, 8, dtype=np.float32))
    (notes / "d.jsonl").write_text("".join(json.dumps({"id": str(n), "text": "One."}) + "\n" for n in range(3)))
    assert run("index", "d.jsonl", "--vectors", "v.npy", cwd=notes).returncode == 0
    refused = run("calibrate", cwd=notes)
    assert refused.returncode == 2
    assert "FOOTNOTE_DENSE_WEIGHT" in refused.stderr


def test_a_setting_that_is_wrong_is_told_before_anything_is_published(notes):
    refused = run("index", "notes", cwd=notes, FOOTNOTE_CALIBRATE="maybe")
    assert refused.returncode == 2
    assert "calibrate" in refused.stderr
    assert not (notes / "data" / "index" / "CURRENT").exists()


def test_verify_names_a_file_where_the_folder_of_calibrations_should_be(notes):
    run("index", "notes", cwd=notes)
    index, _ = calibrations(notes)
    shutil.rmtree(index.calibration)
    index.calibration.write_text("")
    told = run("verify", cwd=notes)
    assert told.returncode == 1
    assert "expected a folder" in told.stdout
