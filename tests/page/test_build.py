"""What the page stands on is what its lock makes."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "requirements" / "page"
VENDORED = {"service": ROOT / "service" / "page" / "vendor", "tests": ROOT / "tests" / "page" / "vendor"}


def test_the_committed_files_are_what_the_build_makes(tmp_path):
    """If this fails: cd requirements/page && npm ci && npm run build"""
    if shutil.which("node") is None:
        pytest.skip("node is missing")
    if not (BUILD / "node_modules" / "esbuild").is_dir():
        pytest.skip("the build's packages are not installed: cd requirements/page && npm ci")
    made = {name: tmp_path / name for name in VENDORED}
    subprocess.run(["node", "build.js", *made.values()], cwd=BUILD, check=True, capture_output=True, timeout=100)
    for name, folder in VENDORED.items():
        files = {file.name: file.read_bytes() for file in folder.iterdir()}
        assert {file.name: file.read_bytes() for file in made[name].iterdir()} == files


def test_the_lock_pins_every_package_by_hash_and_names_no_registry():
    locked = json.loads((BUILD / "package-lock.json").read_text())["packages"]
    wanted = json.loads((BUILD / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    for name, package in locked.items():
        if name:
            assert package["integrity"].startswith("sha512-")
            assert "resolved" not in package  # it names no registry: that is for each machine to say
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version


def test_every_library_that_is_shipped_comes_with_its_licence():
    text = (VENDORED["service"] / "LICENSES.txt").read_text()
    locked = json.loads((BUILD / "package-lock.json").read_text())["packages"]
    named = dict(re.findall(r"^([a-z.-]+) (\d+\.\d+\.\d+) \(", text, re.MULTILINE))
    assert set(named) >= {"markdown-it", "dompurify"}
    assert all(locked[f"node_modules/{name}"]["version"] == version for name, version in named.items())
