"""`make setup`: says what is missing, keeps nothing half made, does nothing when nothing changed.

A stand-in for Python records what it is asked, so no test installs anything.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

STAND_IN = """#!/usr/bin/env bash
echo "$*" >> "$CALLS"
[ "$1" != --version ] || echo "Python 3.9.2"
case "$*" in
  *version_info*) exit "${OLD:-0}" ;;
  *ensurepip*) exit "${NO_VENV:-0}" ;;
  "-m venv --clear .venv") rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  *--require-hashes*) echo "no such package"; exit "${PIP_FAILS:-0}" ;;
  *--editable*) touch .venv/bin/footnote; chmod +x .venv/bin/footnote ;;
  *" check") echo "${CHECK:-}"; [ -z "${CHECK:-}" ] ;;
esac
"""


@dataclass
class Checkout:
    """A project with nothing but what the set-up reads."""

    folder: Path

    def setup(self, **environment: str) -> subprocess.CompletedProcess[str]:
        (self.folder / "calls").write_text("")
        return subprocess.run(
            ["bash", "requirements/install.sh"],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHON": str(self.folder / "stand-in"),
                "CALLS": str(self.folder / "calls"),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def calls(self) -> str:
        return (self.folder / "calls").read_text()


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    folder = tmp_path / "a folder"
    (folder / "requirements").mkdir(parents=True)
    shutil.copy(ROOT / "requirements" / "install.sh", folder / "requirements")
    for name in ("requirements/torch.txt", "requirements/dev.lock", "pyproject.toml"):
        (folder / name).write_text(name)
    (folder / "stand-in").write_text(STAND_IN)
    (folder / "stand-in").chmod(0o755)
    return Checkout(folder)


def test_an_old_python_is_refused_by_its_version(checkout: Checkout) -> None:
    result = checkout.setup(OLD="1")

    assert result.returncode == 1
    assert "Python 3.11 or newer is needed" in result.stderr
    assert "Python 3.9.2" in result.stderr
    assert not (checkout.folder / ".venv").exists()


def test_a_missing_python_is_named(checkout: Checkout) -> None:
    result = checkout.setup(PYTHON="python-that-is-not-there")

    assert result.returncode == 1
    assert "there is no python-that-is-not-there" in result.stderr


def test_a_python_without_venv_names_the_package_to_install(checkout: Checkout) -> None:
    result = checkout.setup(NO_VENV="1")

    assert result.returncode == 1
    assert "python3-venv" in result.stderr


def test_a_torch_that_wants_a_gpu_s_libraries_is_told_from_other_trouble(checkout: Checkout) -> None:
    gpu = checkout.setup(CHECK="torch 2.13.0 requires nvidia-cublas, which is not installed.")
    other = checkout.setup(CHECK="fastapi 1 requires starlette, which is not installed.")

    assert (gpu.returncode, other.returncode) == (1, 1)
    assert "Set TORCH_INDEX to PyTorch's CPU wheel index" in gpu.stderr
    assert "TORCH_INDEX" not in other.stderr
    assert "starlette" in other.stderr


def test_a_failed_installation_shows_why_and_the_next_run_starts_afresh(checkout: Checkout) -> None:
    failed = checkout.setup(PIP_FAILS="1")
    mended = checkout.setup()

    assert failed.returncode == 1
    assert "no such package" in failed.stderr
    assert mended.returncode == 0
    assert "-m venv --clear .venv" in checkout.calls


def test_a_second_run_asks_nothing_and_says_nothing_even_if_times_changed(checkout: Checkout) -> None:
    checkout.setup()
    for name in ("requirements/torch.txt", "requirements/dev.lock", "pyproject.toml"):
        (checkout.folder / name).touch()

    again = checkout.setup()

    assert (again.returncode, again.stdout, again.stderr, checkout.calls) == (0, "", "", "")


@pytest.mark.parametrize("changed", ["requirements/torch.txt", "requirements/dev.lock"])
def test_a_changed_lock_makes_the_environment_from_nothing(checkout: Checkout, changed: str) -> None:
    """So that a package which left the lock leaves the environment too."""
    checkout.setup()
    (checkout.folder / changed).write_text("something else")

    assert checkout.setup().returncode == 0
    assert "-m venv --clear .venv" in checkout.calls


def test_a_changed_pyproject_installs_footnote_alone(checkout: Checkout) -> None:
    checkout.setup()
    (checkout.folder / "pyproject.toml").write_text("something else")

    assert checkout.setup().returncode == 0
    assert "--editable" in checkout.calls
    assert "-m venv" not in checkout.calls
    assert "torch.txt" not in checkout.calls
    assert checkout.setup().stdout == ""


def test_a_moved_checkout_is_set_up_again(checkout: Checkout) -> None:
    """Scripts in an environment name the folder they were made in."""
    checkout.setup()
    moved = Checkout(checkout.folder.rename(checkout.folder.with_name("elsewhere")))

    assert moved.setup().returncode == 0
    assert "-m venv --clear .venv" in moved.calls


def test_torch_comes_first_and_from_the_registry_of_choice(checkout: Checkout) -> None:
    checkout.setup(TORCH_INDEX="file:///wheels")
    installs = [line for line in checkout.calls.splitlines() if " install " in line]

    assert "--no-deps --index-url file:///wheels -r requirements/torch.txt" in installs[0]
    assert "--no-deps --require-hashes -r requirements/dev.lock" in installs[1]
    assert "--index-url" not in installs[1]
