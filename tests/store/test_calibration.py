"""The file that holds what was measured for one snapshot."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest

from store.calibration import (
    Calibration,
    Refusing,
    calibration_file,
    read_calibration,
    sweep_calibrations,
    write_calibration,
)
from store.errors import StoreCorrupt
from store.files import Disk

NAME = "000001-00000000"


def made(**changes) -> Calibration:
    known = {"snapshot": NAME, "dense_weight": 0.7, "questions": 200, "dense": 0.5, "lexical": 0.6}
    return Calibration(**{**known, "fitted_weight": 0.6, **changes})


@pytest.fixture
def folder(tmp_path):
    write_calibration(tmp_path / "calibration", made(), Disk())
    return tmp_path / "calibration"


def test_what_is_written_is_read(folder):
    assert read_calibration(folder, NAME) == made()


@pytest.mark.parametrize("below", [0.37, None])
def test_when_to_refuse_is_kept_too(tmp_path, below):
    refusing = Refusing(
        below=below, bounded=0.37, asked="questions", answerable=40, refused=1, share_max=0.1, confidence=0.9
    )
    write_calibration(tmp_path, made(refusing=refusing), Disk())
    assert read_calibration(tmp_path, NAME).refusing == refusing


def test_a_file_of_version_1_is_read(tmp_path):
    line = (
        f'{{"version":1,"snapshot":"{NAME}","dense_weight":0.7,"questions":200,"dense":0.5,"lexical":0.6,'
        '"fitted_weight":0.6,"changed":0.0}'
    ).encode()
    calibration_file(tmp_path, NAME).write_bytes(line + b"\nsha256 " + sha256(line).hexdigest().encode() + b"\n")
    found = read_calibration(tmp_path, NAME)
    assert (found.dense_weight, found.refusing) == (0.7, None)


def test_absent_it_says_nothing(tmp_path, folder):
    assert read_calibration(folder, "000002-00000000") is None
    assert read_calibration(tmp_path / "none", NAME) is None


def test_every_flipped_bit_is_noticed(folder):
    path = calibration_file(folder, NAME)
    data = path.read_bytes()
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :])
        with pytest.raises(StoreCorrupt, match="footnote calibrate"):
            read_calibration(folder, NAME)


@pytest.mark.parametrize("length", [0, 1, 40, -1])
def test_half_a_file_is_noticed(folder, length):
    path = calibration_file(folder, NAME)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(StoreCorrupt):
        read_calibration(folder, NAME)


def test_another_snapshots_is_noticed(folder):
    calibration_file(folder, NAME).rename(calibration_file(folder, "000002-00000000"))
    with pytest.raises(StoreCorrupt, match="000002"):
        read_calibration(folder, "000002-00000000")


def test_a_newer_version_is_noticed(folder):
    with pytest.raises(ValueError, match="version"):
        made(version=3)


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / f"{NAME}.json")
    with pytest.raises(StoreCorrupt):
        read_calibration(tmp_path, NAME)


def test_those_of_snapshots_that_are_gone_go_with_whatever_a_stopped_run_left(folder):
    write_calibration(folder, made(snapshot="000002-00000000"), Disk())
    (folder / f".{NAME}.json.123.tmp").write_bytes(b"half")
    sweep_calibrations(folder, ["000002-00000000"], Disk())
    assert [path.name for path in folder.iterdir()] == ["000002-00000000.json"]
