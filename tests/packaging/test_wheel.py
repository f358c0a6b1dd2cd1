"""The built wheel works from an environment of its own, outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("store", "indexer", "service", "evaluation", "training", "footnote")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built without network and without isolation."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = folder.glob("footnote-*.whl")
    return built


def test_the_wheel_holds_every_file_of_every_room_and_no_other(wheel: Path) -> None:
    """Web assets and other data files are among them."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    files = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".pyc"
    }

    assert packed == files


def test_the_wheel_brings_licence_and_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {Path(name).name: name for name in archive.namelist() if ".dist-info/" in name}

        assert archive.read(names["LICENSE"]) == (ROOT / "LICENSE").read_bytes()
        assert b"footnote = footnote.cli:main" in archive.read(names["entry_points.txt"])
        assert b"License-Expression: Apache-2.0" in archive.read(names["METADATA"])


def test_the_installed_wheel_answers_from_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    """The libraries are this environment's, by path; the program itself is the wheel's."""
    place, empty = tmp_path / "environment", tmp_path / "empty"
    empty.mkdir()
    venv.create(place, with_pip=False)
    python = place / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "--disable-pip-version-check"]
    subprocess.run([*pip, "install", "--quiet", "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    (own,) = place.glob("lib/python*/site-packages")
    (own / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*command: str) -> str:
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "FOOTNOTE_"))
        }
        return subprocess.run(command, cwd=empty, env=environment, capture_output=True, text=True, check=True).stdout

    places = run(
        str(python), "-c", f"import {', '.join(ROOMS)}; print(*[m.__file__ for m in ({', '.join(ROOMS)})], sep='\\n')"
    )

    assert all(Path(line).is_relative_to(place) for line in places.splitlines())
    assert run(str(place / "bin" / "footnote"), "--version").strip() == "0.1.0"
    assert "serve" in run(str(place / "bin" / "footnote"), "--help")
    assert list(empty.iterdir()) == []
