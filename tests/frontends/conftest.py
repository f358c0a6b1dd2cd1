"""A running service with a scripted chat model, for other people's clients; they run on this machine too."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NODE_MIN = 20  # the AI SDK asks for 22; it was seen to run in this
PYTHON = ROOT / ".venv-frontends" / "bin" / "python"

DOCUMENTS = {
    "returns.md": "# Returns\n\n## Refunds\n\nRefunds take 14 days after the parcel has reached us. Write to the help "
    "desk to ask for one. An exchange is sent the same day.\n",
    "shipping.md": "# Shipping\n\nParcels to Zürich and 東京 😀 arrive within 3 working days. "
    "A parcel may weigh 20 kg.\n",
}
REPLIES: list[dict[str, Any]] = [
    {
        "when": "stalls",
        "pieces": ["Refunds take 14 days after the parcel has reached us [1]. ", "Write to"],
        "stall": True,
    },
    {
        "when": "fails",
        "pieces": ["Refunds take 14 days after the parcel has reached us [1]. ", "Write to the help desk"],
        "error": "server_error",
    },
    {"when": "moon", "pieces": ["The moon is made of green cheese [1]. "]},
    {
        "when": "parcels",
        "pieces": ["Parcels to Zürich and 東京 😀 arrive within 3 working days [1]. A parcel may weigh 20 kg [1]. "],
    },
    {
        "pieces": [
            "Refunds take 14 days after the parcel has reached us [1]. ",
            "Refunds take 30 days on Sundays [1]. ",
            "A parcel may weigh 20 kg [2]. ",
            "An exchange is sent the same day [1]. ",
        ],
        "delay_ms": 5,
        "prompt_tokens": 40,
        "completion_tokens": 20,
    },
]
QUESTION = "How long do refunds for a parcel take?"
ANSWER = (
    "Refunds take 14 days after the parcel has reached us [1]. A parcel may weigh 20 kg [2]. "
    "An exchange is sent the same day [1]. "
)
"""What is left of the last reply when the guardrail has withheld its second sentence."""


@dataclass
class Served:
    """A running service, and what its chat model is doing."""

    address: str
    calls: list[str] = field(default_factory=list)
    """`open` or `closed` for each call of the chat model."""

    def calls_end(self) -> None:
        """Waits until every call of the chat model has ended."""
        end = time.monotonic() + 15
        while "open" in self.calls or not self.calls:
            assert time.monotonic() < end, f"a call of the chat model goes on: {self.calls}"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def frontends_index(tmp_path_factory: pytest.TempPathFactory, make_index: Any) -> Path:
    """An index of DOCUMENTS."""
    folder = tmp_path_factory.mktemp("frontends")
    (folder / "shop").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "shop" / name).write_text(text, encoding="utf-8")
    make_index(folder / "index", folder / "shop")
    return folder / "index"


@pytest.fixture(scope="session")
def running(frontends_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The service on a socket, for all tests."""
    import uvicorn

    from service.adapters import script
    from service.http.app import create_app
    from service.settings import ServiceSettings
    from service.wiring import Service

    replies = tmp_path_factory.mktemp("script") / "replies.jsonl"
    replies.write_text("".join(json.dumps(one) + "\n" for one in REPLIES), encoding="utf-8")
    said = script._said
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    served = Served(f"http://127.0.0.1:{listener.getsockname()[1]}")

    async def noted(reply: script.Reply) -> Any:
        number = len(served.calls)
        served.calls.append("open")
        try:
            async with contextlib.aclosing(said(reply)) as pieces:
                async for piece in pieces:
                    yield piece
        finally:
            served.calls[number] = "closed"

    settings = ServiceSettings(
        index=frontends_index,
        generator="scripted",
        generator_script=replies,
        generator_between_ms=60_000,
        budgets=False,
        abstain_below=0.0,
        verifier="none",
        executor_threads=2,
    )
    server = uvicorn.Server(
        uvicorn.Config(create_app(Service(settings)), log_level="critical", lifespan="on", timeout_graceful_shutdown=2)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(script, "_said", noted)
        thread.start()
        end = time.monotonic() + 30
        while not server.started:
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.01)
        yield served
        server.should_exit = True
        thread.join(20)
        listener.close()


@pytest.fixture
def served(running: Served) -> Served:
    """The service, with no call of the chat model noted."""
    running.calls.clear()
    return running


@pytest.fixture
def breaking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has every answer break after its first sentence, in a way that nobody foresaw."""
    from service.answer import answer
    from service.http import routes_questions

    async def broken(*asked: Any) -> Any:
        async with contextlib.aclosing(answer(*asked)) as events:
            async for event in events:
                yield event
                if event.type == "sentence":
                    raise RuntimeError("a secret detail")

    monkeypatch.setattr(routes_questions, "answer", broken)


@pytest.fixture(scope="session")
def framework_process(running: Served) -> Iterator[Any]:
    """A program in the environment of other frameworks' clients, which take their time to import."""
    if not PYTHON.exists():
        pytest.skip("the environment of other frameworks' clients is missing: make frontends")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with subprocess.Popen(
        [str(PYTHON), str(HERE / "frameworks.py"), running.address],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def frameworks(served: Served, framework_process: Any) -> Any:
    """Has a framework ask: its name, the way to ask, the question, options."""

    def ask(framework: str, way: str, question: str, **options: Any) -> Any:
        framework_process.stdin.write(json.dumps([framework, way, question, options]) + "\n")
        framework_process.stdin.flush()
        return json.loads(framework_process.stdout.readline())

    return ask


@pytest.fixture
def node(served: Served) -> Any:
    """Runs a program of this folder in Node; its last line as JSON."""
    if shutil.which("node") is None:
        pytest.skip("node is missing")
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    if int(version.strip("v\n").partition(".")[0]) < NODE_MIN:
        pytest.skip(f"the AI SDK runs in Node {NODE_MIN} or newer, not in {version.strip()}")
    if not (HERE / "node_modules" / "ai").is_dir():
        pytest.skip("the JavaScript clients are not installed: cd tests/frontends && npm ci")
    return lambda name, *arguments: _told(["node", str(HERE / name), served.address, *arguments])


def _told(command: list[str]) -> Any:
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])
