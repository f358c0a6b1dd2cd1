"""The commands a newcomer types: `make`, and what continuous integration runs."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str) -> str:
    """What make prints; fails where make does."""
    return subprocess.run(
        ["make", *arguments],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))},
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_make_alone_lists_what_there_is_and_changes_nothing() -> None:
    listed = re.findall(r"^  make ([a-z-]+) +\S", make(), re.MULTILINE)

    assert {"setup", "run", "test", "check", "test-slow", "test-nightly", "lock", "wheel", "clean"} <= set(listed)


@pytest.mark.parametrize("target", ["run", "test", "check", "test-slow", "test-nightly", "wheel"])
def test_every_command_that_needs_the_environment_makes_it_first(target: str) -> None:
    assert make("-n", target).splitlines()[0] == "bash requirements/install.sh"


def test_run_indexes_then_serves_where_asked() -> None:
    printed = make("-n", "run", "PORT=8123", "HOST=::1", "INDEX=elsewhere")

    assert printed.index("footnote index corpus/pages") < printed.index("footnote serve")
    assert printed.count('--index "elsewhere"') == 2
    assert '--host "::1" --port "8123"' in printed


def test_the_demo_has_either_chat_model_of_pinned_packages_and_holds_it_to_markers() -> None:
    from benchmarks.local_model import MODELS

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for (name, weights), extra in zip(MODELS.items(), ("local-llm", "local-llm-large"), strict=True):
        printed = make("-n", "demo-llm", f"MODEL={name}")
        assert f'benchmarks.local_model "{name}"' in printed
        assert "FOOTNOTE_GENERATOR_GRAMMAR=gbnf" in printed
        lines = (ROOT / "requirements" / f"local-llm-{name}.txt").read_text().splitlines()
        pinned = [line for line in lines if not line.startswith("#")]
        assert all(re.fullmatch(r"[a-z0-9-]+==\S+ --hash=sha256:[0-9a-f]{64}", line) for line in pinned)
        assert extras[extra] == [line.partition(" --hash")[0] for line in pinned]
        packages = {line.partition("==")[0].replace("-", "_") for line in pinned}
        assert packages == {"xllamacpp", *weights.modules}


def test_run_takes_the_program_s_own_defaults() -> None:
    assert not re.search(r"--(index|host|port)", make("-n", "run"))


def test_the_commands_that_make_calls_exist() -> None:
    import typer.main

    from footnote.cli import app

    called = re.findall(r"bin/footnote ([a-z]+)", make("-n", "run"))

    assert called == ["index", "serve"]
    assert set(called) <= set(typer.main.get_command(app).commands)


def test_continuous_integration_runs_make_test_and_can_be_parsed() -> None:
    script = ROOT / ".ci" / "run"

    assert "make test" in script.read_text()
    for file in (script, *ROOT.glob("requirements/*.sh")):
        subprocess.run(["bash", "-n", str(file)], check=True)


def test_a_failing_suite_reports_its_own_status_after_its_closing_line() -> None:
    """With STATUS make itself stays silent, so that the closing line is the last one."""
    assert re.search(r'-m pytest -m "not nightly" ; echo \$\? > "status"\s*$', make("-n", "test", "STATUS=status"))
