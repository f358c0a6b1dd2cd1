"""What is made and not written is up to date, and the library stands alone."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[3] / "clients" / "python"
PACKAGE = CLIENT / "footnote_client"


def test_types_and_the_synchronous_client_are_what_their_sources_make(tmp_path):
    """If this fails: python clients/python/generate.py"""
    subprocess.run([sys.executable, str(CLIENT / "generate.py"), str(tmp_path)], check=True, timeout=60)
    for made in tmp_path.iterdir():
        assert made.read_text() == (PACKAGE / made.name).read_text(), made.name
    assert {made.name for made in tmp_path.iterdir()} == {"types.py", "_sync.py"}


def test_nothing_asynchronous_is_left_in_the_synchronous_client():
    assert (
        re.findall(
            r"\b(?:async|await|asyncio|Async\w*|a(?:close|read|next|iter_bytes))\b", (PACKAGE / "_sync.py").read_text()
        )
        == []
    )


def test_it_imports_nothing_of_the_service():
    code = "import sys, footnote_client; print([m for m in sys.modules if m.split('.')[0] in sys.argv[1:]])"
    rooms = ["store", "indexer", "service", "evaluation", "training", "footnote", "pydantic", "numpy"]
    out = subprocess.run(
        [sys.executable, "-c", code, *rooms],
        env={"PYTHONPATH": str(CLIENT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.strip() == "[]"


def test_its_metadata_say_what_it_needs():
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == ["httpx2>=2.16"]
    assert project["license"] == "Apache-2.0"
    assert (CLIENT / "LICENSE").read_bytes() == (CLIENT.parents[1] / "LICENSE").read_bytes()
    assert (PACKAGE / "py.typed").exists()


@pytest.mark.slow
def test_its_wheel_holds_the_package_its_types_and_its_licence(tmp_path):
    import zipfile

    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(CLIENT)]
    subprocess.run(command, check=True, capture_output=True, timeout=100)
    (built,) = tmp_path.glob("footnote_client-*.whl")
    with zipfile.ZipFile(built) as archive:
        names = archive.namelist()
    files = {f"footnote_client/{one.name}" for one in PACKAGE.iterdir() if one.is_file()}
    assert files <= set(names)
    assert any(one.endswith("licenses/LICENSE") for one in names)
