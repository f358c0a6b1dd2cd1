"""What every test shares: no network, no model hub, and a small index built once."""

from __future__ import annotations

import functools
import gc
import json
import os
import socket
import sys
from pathlib import Path

import hypothesis
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
hypothesis.settings.register_profile("any machine", deadline=None)  # a busy one is not a failure
hypothesis.settings.load_profile("any machine")

_LOOPBACK = ("127.", "::1", "localhost")
_connect = socket.socket.connect


def _connect_to_loopback_only(self, address):
    if self.family in (socket.AF_INET, socket.AF_INET6) and not str(address[0]).startswith(_LOOPBACK):
        raise AssertionError(f"a test tried to reach {address}: tests use no network")
    return _connect(self, address)


@pytest.fixture(autouse=True, scope="session")
def no_network():
    patch = pytest.MonkeyPatch()
    patch.setattr(socket.socket, "connect", _connect_to_loopback_only)
    patch.setenv("HF_HUB_OFFLINE", "1")
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="session")
def one_verifier():
    """The support scorer that comes with Footnote is opened once: it never changes, and every application opens it."""
    from service import verifier, wiring

    opened = functools.cache(verifier.open_verifier)
    patch = pytest.MonkeyPatch()
    patch.setattr(
        wiring,
        "open_verifier",
        lambda folder: opened(folder) if folder == verifier.BUNDLED else verifier.open_verifier(folder),
    )
    yield
    patch.undo()


@pytest.fixture(autouse=True, scope="module")
def applications_are_let_go():
    """FastAPI remembers the routes of every application that there ever was, and with them their services."""
    yield
    held = sys.modules.get("fastapi.dependencies.models")
    if held is not None:
        for one in vars(held).values():
            if hasattr(one, "cache_clear"):
                one.cache_clear()
        gc.collect()


SMALL = [
    {"id": "cats", "title": "Cats", "text": "A cat is a small animal. Cats sleep for most of the day.\n\nThey purr."},
    {"id": "dogs", "title": "Dogs", "text": "Dogs bark at strangers and guard the house.", "metadata": {"year": 2021}},
    {"id": "tokyo", "title": "東京", "text": "東京は日本の首都です。😀 Tokyo is large.", "metadata": {"lang": "ja"}},
    {"id": "limits", "title": "Limits", "text": "max_connections is 100 by default.", "url": "https://example.org/l"},
    {"id": "secret", "title": "Plans", "text": "The secret plan is to sell cats.", "access": ["staff"]},
]


def write_jsonl(path: Path, documents) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in documents), encoding="utf-8")
    return path


def build_index(index: Path, *sources: Path | str, model: str = "hash:64", request=None, **settings):
    """Run the real build with the model-free embedder; returns its report. `request` holds Request's other fields."""
    from indexer.build import Request, build
    from indexer.progress import Silent
    from indexer.settings import IndexerSettings
    from store.index import IndexDirectory

    chosen = IndexerSettings(index=index, embedding_model=model, **settings)
    return build(IndexDirectory(index), Request([str(one) for one in sources], **(request or {})), chosen, Silent())


@pytest.fixture(scope="session")
def small_index(tmp_path_factory) -> Path:
    """An index of SMALL, one generation; tests must not change it."""
    folder = tmp_path_factory.mktemp("small")
    build_index(folder / "index", write_jsonl(folder / "small.jsonl", SMALL))
    return folder / "index"


@pytest.fixture(scope="session")
def make_index():
    """The function `build_index`, for tests in folders of their own."""
    return build_index


@pytest.fixture
def jsonl():
    """The function `write_jsonl`."""
    return write_jsonl
