"""The clients against the service that tests of its HTTP edge use."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "clients" / "python"))  # a library of its own, which is not installed here


def _load(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_edge = _load("edge_conftest", ROOT / "tests" / "service" / "http" / "conftest.py")
_load("given_answers", Path(__file__).with_name("given_answers.py"))  # imported by name in the tests here
shared_index = _edge.shared_index
app_over = _edge.app_over
serve = _edge.serve


@pytest.fixture
def service(serve, app_over, shared_index):
    """The address of a running service over a small index."""
    return f"http://127.0.0.1:{serve(app_over(shared_index, abstain_below=0)).port}"
