"""The TypeScript client: types up to date, strict compilation, and node's own tests against a running service."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from given_answers import answers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

CLIENT = Path(__file__).parents[3] / "clients" / "typescript"
MODULES = CLIENT / "node_modules"
pytestmark = pytest.mark.slow  # the compiler takes seconds


def node(*command, **environment):
    return subprocess.run(
        ["node", *map(str, command)],
        cwd=CLIENT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="session", autouse=True)
def needed():
    if shutil.which("node") is None:
        pytest.skip("node is missing")


@pytest.fixture(scope="session")
def compiler():
    if not (MODULES / "typescript").is_dir():
        pytest.skip("the compiler is not installed: cd clients/typescript && npm ci")
    return MODULES / "typescript" / "bin" / "tsc"


@pytest.fixture(scope="session")
def built(tmp_path_factory, compiler):
    folder = tmp_path_factory.mktemp("built")
    made = node(compiler, "--outDir", folder)
    assert made.returncode == 0, made.stdout
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_the_types_are_those_of_the_openapi_document(tmp_path):
    """If this fails: cd clients/typescript && npm ci && npm run types"""
    if not (MODULES / "openapi-typescript").is_dir():
        pytest.skip("the generator is not installed: cd clients/typescript && npm ci")
    made = tmp_path / "openapi.ts"
    document = CLIENT.parents[1] / "docs" / "openapi.json"
    result = node(MODULES / "openapi-typescript" / "bin" / "cli.js", document, "--output", made)
    assert result.returncode == 0, result.stderr
    assert made.read_text() == (CLIENT / "src" / "openapi.ts").read_text()


def test_it_compiles_strictly_and_its_types_keep_their_promises(compiler):
    assert json.loads((CLIENT / "tsconfig.json").read_text())["compilerOptions"]["strict"] is True
    made = node(compiler, "--noEmit", "--project", "test/tsconfig.json")
    assert made.returncode == 0, made.stdout


def test_what_is_built_needs_no_package(built):
    code = "".join(file.read_text() for file in built.glob("*.js"))
    assert {one for one in re.findall(r'from "([^"]+)"', code) if not one.startswith("./")} == set()
    assert "dependencies" not in json.loads((CLIENT / "package.json").read_text())
    assert {"index.js", "index.d.ts", "openapi.d.ts"} <= {file.name for file in built.iterdir()}


def test_streams_fold_resume_and_point_as_the_service_means(built, tmp_path):
    cases = []

    @settings(max_examples=80, database=None, suppress_health_check=list(HealthCheck))
    @given(answers(), st.lists(st.integers(0, 1_500), max_size=5))
    def collect(one, cuts):
        cases.append({"frames": [frame.decode() for frame in one.frames], "json": one.json, "cuts": cuts})

    collect()
    file = tmp_path / "given.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in cases))
    run_tests("given", built, FOOTNOTE_GIVEN=str(file))


def test_the_client_against_a_running_service(built, service):
    run_tests("service", built, FOOTNOTE_URL=service)


def run_tests(name, built, **environment):
    entry = (built / "index.js").as_uri()
    result = node("--test", "--test-reporter=tap", f"test/{name}.test.js", FOOTNOTE_CLIENT=entry, **environment)
    assert result.returncode == 0, result.stdout[-6_000:]
    declared = len(re.findall(r"^test\(", (CLIENT / "test" / f"{name}.test.js").read_text(), re.MULTILINE))
    assert f"# pass {declared}\n" in result.stdout, result.stdout[-3_000:]


def test_the_lock_pins_every_package_by_hash_and_names_no_registry():
    locked = json.loads((CLIENT / "package-lock.json").read_text())["packages"]
    wanted = json.loads((CLIENT / "package.json").read_text())["devDependencies"]
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", version) for version in wanted.values())
    for name, package in locked.items():
        if name:
            assert package["integrity"].startswith("sha512-")
            assert "resolved" not in package  # it names no registry: that is for each machine to say
    for name, version in wanted.items():
        assert locked[f"node_modules/{name}"]["version"] == version
