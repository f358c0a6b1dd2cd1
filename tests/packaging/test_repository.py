"""What may not be in the repository."""

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@cache
def tracked() -> tuple[Path, ...]:
    """Every file under version control that is there."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: which files are tracked is unknown")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    files = tuple(ROOT / name for name in listed.split("\0") if name)
    assert files
    return tuple(file for file in files if file.is_file())


def found(pattern: bytes, files: list[Path]) -> list[str]:
    """`file:line` wherever `pattern` occurs."""
    return [
        f"{file.relative_to(ROOT)}:{number}"
        for file in files
        for number, line in enumerate(file.read_bytes().splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_nothing_is_unpickled() -> None:
    code = [file for file in tracked() if file.suffix == ".py"]
    needles = b"|".join(
        rb"\b" + b + rb"\b" for b in (b"pickle" + rb"\.loads?", b"allow_" + b"pickle", b"torch" + rb"\.load")
    )

    assert found(needles, code) == []


def test_no_file_names_a_place_on_somebody_s_machine() -> None:
    """The published pages under corpus/ are other people's words and may."""
    files = [file for file in tracked() if "corpus" not in file.relative_to(ROOT).parts]
    places = rb"|".join(b"/" + name + b"/" for name in (b"work", b"root"))
    homes = b"/" + rb"(home|Users)" + rb"/[a-z]"

    assert found(places + b"|" + homes, files) == []


def test_nothing_generated_or_secret_is_tracked() -> None:
    unwanted = re.compile(r"(^|/)(\.venv|data/index|dist|__pycache__|\.env|.*\.pem|.*\.key|footnote\.toml)(/|$)")

    assert [str(file) for file in tracked() if unwanted.search(str(file.relative_to(ROOT)))] == []


def test_the_licence_is_apache_2() -> None:
    text = (ROOT / "LICENSE").read_text()

    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
