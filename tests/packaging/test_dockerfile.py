"""The images, as far as they can be tested without an engine: every path, command, route and user named exists."""

import fnmatch
import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INSTRUCTIONS = {
    "ADD",
    "ARG",
    "CMD",
    "COPY",
    "ENTRYPOINT",
    "ENV",
    "EXPOSE",
    "FROM",
    "HEALTHCHECK",
    "LABEL",
    "RUN",
    "SHELL",
    "USER",
    "VOLUME",
    "WORKDIR",
}
TARGETS = ("indexer", "service")


@dataclass
class Stage:
    """One build stage: what it starts from and its instructions, (name, arguments)."""

    name: str
    parent: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, instruction: str) -> list[str]:
        return [arguments for name, arguments in self.steps if name == instruction]


def parse(text: str) -> dict[str, Stage]:
    """Stages by name. Raises ValueError for what is no instruction, or for a step before the first FROM."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for line in filter(str.strip, re.sub(r"\s*\\\n\s*", " ", "\n".join(lines)).splitlines()):
        name, _, arguments = line.strip().partition(" ")
        if name not in INSTRUCTIONS or not arguments.strip():
            raise ValueError(f"not an instruction: {line!r}")
        if name == "FROM":
            parent, _, alias = arguments.partition(" AS ")
            stage = stages[alias] = Stage(alias, parent)
        elif stage is None:
            raise ValueError(f"before the first FROM: {line!r}")
        else:
            stage.steps.append((name, arguments.strip()))
    return stages


STAGES = parse((ROOT / "Dockerfile").read_text())


def lineage(target: str) -> list[tuple[str, str]]:
    """All instructions that make an image, those of the stages it starts from first."""
    stage = STAGES[target]
    return (lineage(stage.parent) if stage.parent in STAGES else []) + stage.steps


def ignored(path: str) -> bool:
    """Whether .dockerignore keeps `path` out: the last rule that matches it or a folder above it decides."""
    verdict = False
    parts = path.rstrip("/").split("/")
    above = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        rule = line.strip()
        if not rule or rule.startswith("#"):
            continue
        pattern = rule.lstrip("!").rstrip("/").removeprefix("**/")
        names = parts if "**/" in rule else above
        if any(fnmatch.fnmatchcase(name, pattern) for name in names):
            verdict = not rule.startswith("!")
    return verdict


@pytest.mark.parametrize("text", ["RUN ls", "FROM a AS b\nRNU ls", "FROM a AS b\nRUN a\nb && c", "FROM a AS b\nUSER"])
def test_the_parser_refuses_what_an_engine_would(text: str) -> None:
    with pytest.raises(ValueError, match=r"not an instruction|before the first FROM"):
        parse(text)


def test_the_parser_joins_continued_lines() -> None:
    assert parse("FROM a AS b\nRUN one \\\n# why\n && two\n")["b"].steps == [("RUN", "one && two")]


@pytest.mark.parametrize(
    "path", ["footnote.toml", "data/index", ".git", ".venv/bin", "store/__pycache__", ".env", "corpus"]
)
def test_what_is_no_part_of_the_program_stays_out_of_the_build(path: str) -> None:
    assert ignored(path)


def test_both_programs_are_targets() -> None:
    assert set(TARGETS) <= set(STAGES)


@pytest.mark.parametrize("stage", STAGES)
def test_every_copied_path_exists_and_reaches_the_build(stage: str) -> None:
    for arguments in STAGES[stage].all("COPY"):
        words = shlex.split(arguments)
        sources = [word for word in words[:-1] if not word.startswith("--")]
        if origin := [word.removeprefix("--from=") for word in words if word.startswith("--from=")]:
            assert origin[0] in STAGES
            continue
        for source in sources:
            assert (ROOT / source).exists(), source
            assert (ROOT / source).is_dir() == source.endswith("/"), source
            assert not ignored(source), f"{source} is in .dockerignore"


def test_every_room_is_copied() -> None:
    copied = {shlex.split(arguments)[0].rstrip("/") for arguments in STAGES["wheel"].all("COPY")}

    assert {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"} <= copied


@pytest.mark.parametrize("stage", STAGES)
def test_what_pip_installs_from_exists_and_is_hashed(stage: str) -> None:
    for command in re.split(r"&&|;", " ".join(STAGES[stage].all("RUN"))):
        for file in re.findall(r"-r (\S+)", command):
            assert (ROOT / file).is_file(), file
            assert "--no-deps" in command
            assert ("--require-hashes" in command) == file.endswith(".lock"), command


def test_the_service_image_has_no_torch() -> None:
    installed = re.findall(r"-r (\S+)", " ".join(arguments for name, arguments in lineage("service") if name == "RUN"))

    assert installed == ["requirements/service.lock"]


def test_the_indexer_image_takes_torch_first_from_a_registry_of_choice() -> None:
    commands = " ".join(STAGES["indexer"].all("RUN"))

    assert re.findall(r"-r (\S+)", commands) == ["requirements/torch.txt", "requirements/indexer.lock"]
    assert any(argument.startswith("TORCH_INDEX") for argument in STAGES["indexer"].all("ARG"))


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_runs_an_existing_command_with_existing_options(target: str) -> None:
    import typer.main

    from footnote.cli import app

    (entrypoint,) = STAGES[target].all("ENTRYPOINT")
    (arguments,) = STAGES[target].all("CMD")
    command, *rest = json.loads(arguments)
    commands = typer.main.get_command(app).commands

    assert json.loads(entrypoint) == ["footnote"]
    assert command in commands
    options = {option for parameter in commands[command].params for option in parameter.opts}
    assert {word for word in rest if word.startswith("-")} <= options


@pytest.mark.parametrize("target", TARGETS)
def test_a_container_does_not_run_as_root(target: str) -> None:
    users = [arguments for name, arguments in lineage(target) if name == "USER"]
    made = " ".join(arguments for name, arguments in lineage(target) if name == "RUN")

    assert users
    assert users[-1].isdigit(), "a number lets an orchestrator see that it is not root"
    assert users[-1] != "0"
    assert f"--uid {users[-1]}" in made


def test_the_health_check_asks_a_real_route_on_the_exposed_port() -> None:
    (check,) = STAGES["service"].all("HEALTHCHECK")
    match = re.search(r"http://127\.0\.0\.1:(\d+)(/\w+)'", check)

    assert match
    assert [match[1]] == STAGES["service"].all("EXPOSE")
    assert f'"{match[2]}"' in (ROOT / "service" / "http" / "routing.py").read_text()
    compile(json.loads(check[check.index("[") :])[2], "healthcheck", "exec")


@pytest.mark.parametrize("target", TARGETS)
def test_the_index_lies_on_the_volume_and_no_model_hub_is_asked(target: str) -> None:
    environment = dict(
        word.split("=", 1) for name, arguments in lineage(target) if name == "ENV" for word in shlex.split(arguments)
    )

    assert environment["FOOTNOTE_INDEX"] == "/data/index"
    assert environment["HF_HUB_OFFLINE"] == "1"
    assert STAGES[target].all("VOLUME") == ["/data"]


def test_no_secret_is_built_in() -> None:
    named = [arguments for stage in STAGES.values() for kind in ("ENV", "ARG") for arguments in stage.all(kind)]

    assert [one for one in named if re.search(r"token|secret|passw|api_?key", one, re.IGNORECASE)] == []
