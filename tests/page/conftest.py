"""The page in a real browser, over a real server with a scripted chat model."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)

ROOT = Path(__file__).parents[2]
LONG = "\n\n".join(f"Paragraph {number} is about nothing that anybody asks." for number in range(60))
DOCUMENTS = {
    "returns.md": "# Returns\n\n## Refunds\n\nRefunds take 14 days after the parcel has reached us. Write to the "
    "help desk to ask for one.\n\n## Exchanges\n\nAn exchange is sent the same day. "
    "Exchanges are free of charge within the European Union.\n",
    "shipping.md": f"# Shipping\n\n{LONG}\n\n## Parcels\n\nParcels to Zürich and 東京 😀 arrive within 3 working "
    f"days. A parcel may weigh 20 kg.\n\n{LONG}\n",
    "install.md": "---\nlang: en\nyear: 2021\n---\n# Install\n\nThe installer needs Python 3.11 or newer.\n\n"
    "## Linux\n\nRun the installer with the prefix option:\n\n```sh\n./install --prefix /usr/local\n```\n\n"
    "The default prefix is /usr/local.\n",
    "hostile.md": "# Hostile <img src=x onerror=alert(1)>\n\nThe hostile page says "
    "<script>document.title='run'</script> and <b onclick=alert(1)>bold</b> things.\n",
}
REPLIES: list[dict[str, Any]] = [
    {
        "when": "fail",
        "pieces": ["Refunds take 14 days after the parcel has reached us [1]. ", "Write to the help desk"],
        "error": "server_error",
    },
    {
        "when": "slowly",
        "delay_ms": 30,
        "pieces": ["Refunds take 14 days after the parcel has reached us [1]. ", "Write to"],
        "stall": True,
    },
    {
        "when": "refund",
        "delay_ms": 400,
        "pieces": [
            "Refunds take 14 days after the parcel has reached us [1]. ",
            "Refunds take 30 days on Sundays [1]. ",
            "Write to the help desk to ask for one [1].\n\n",
            "- An exchange is sent the same day [1].\n",
            "- Exchanges are free of charge within the European Union [1].\n",
        ],
    },
    {
        "when": "prefix",
        "delay_ms": 20,
        "pieces": [
            "Run the installer with the prefix option [1]:\n\n",
            "```sh\n./install --prefix /usr/local\n``` [1]\n\n",
            "The default prefix is /usr/local [1].\n",
        ],
    },
    {"when": "parcels", "pieces": ["Parcels to Zürich and 東京 😀 arrive within 3 working days [1]. "]},
    {"when": "nonsense", "pieces": ["The moon is made of green cheese [1]. "]},
    {"pieces": ["The hostile page says bold things [1]. "]},
]


@pytest.fixture(scope="session")
def page_index(tmp_path_factory: pytest.TempPathFactory, make_index: Any) -> Path:
    """An index of DOCUMENTS."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "shop").mkdir()
    for name, text in DOCUMENTS.items():
        (folder / "shop" / name).write_text(text, encoding="utf-8")
    make_index(folder / "index", folder / "shop")
    return folder / "index"


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the chat model says."""
    file = tmp_path_factory.mktemp("script") / "replies.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in REPLIES), encoding="utf-8")
    return file


@pytest.fixture(scope="session")
def served(page_index: Path, script: Path) -> Iterator[str]:
    """The address of a running service."""
    with serving(page_index, script) as address:
        yield address


@contextlib.contextmanager
def serving(index: Path, script: Path, **settings: Any) -> Iterator[str]:
    import uvicorn

    from service.http.app import create_app
    from service.settings import ServiceSettings
    from service.wiring import Service

    settings = {"generator": "scripted", "generator_script": script, "budgets": False, "abstain_below": 0.0} | settings
    app = create_app(Service(ServiceSettings(index=index, verifier="none", executor_threads=2, **settings)))
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on", timeout_graceful_shutdown=2))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    end = time.monotonic() + 30
    while not server.started:
        assert time.monotonic() < end, "the server did not start"
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(20)
        listener.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; nothing is downloaded. Not longer than a module: Playwright keeps an event loop running in
    this thread, and to other tests everything that blocks would then look like blocking it.
    """
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="the page is tested with playwright, which is missing"
    )
    if CHROMIUM is None:
        pytest.skip("the page is tested in chromium, which is missing")
    with playwright.sync_playwright() as running:
        opened = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Cable:
    """A connection to a server that can be pulled out: all that goes through it breaks off."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def pull(self) -> None:
        """Break off what is open now; who comes afterwards is served."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)
        self.pull()

    def _accept(self) -> None:
        pumps = []
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                break
            far = socket.create_connection(("127.0.0.1", self._to))
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                pumps.append(threading.Thread(target=self._pump, args=(source, sink)))
                pumps[-1].start()
        self.pull()
        for one in pumps:
            one.join(10)
        for one in self._open:
            one.close()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@pytest.fixture
def cable(served: str) -> Iterator[Cable]:
    cable = Cable(int(served.rstrip("/").rpartition(":")[2]))
    yield cable
    cable.close()


class Watched:
    """A page and whatever went wrong on it: console errors, exceptions, refused policies, requests that leave."""

    def __init__(self, page: Any, origin: str) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda one: self.wrong.append(one.text) if one.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("dialog", lambda one: (self.wrong.append(f"dialog {one.message}"), one.dismiss()))
        page.on("request", lambda one: None if one.url.startswith(origin) else self.wrong.append(f"left for {one.url}"))

    def ask(self, question: str) -> None:
        turns = self.page.locator(".turn")
        before = turns.count()
        self.page.get_by_label("Your question").fill(question)
        self.page.keyboard.press("Enter")
        turns.nth(before).wait_for()  # else `settled` could look at the answer before

    def settled(self) -> None:
        """Until the answer is whole."""
        self.page.locator(".turn").last.get_by_role("button", name="Ask again").wait_for()


SIZES = {"desktop": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture
def open_page(browser: Any, served: str) -> Iterator[Any]:
    """Opens the page in a browser profile of its own; whatever went wrong on it fails the test at its end."""
    with contextlib.ExitStack() as stack:
        opened: list[Watched] = []

        def make(
            size: str = "desktop", theme: str = "light", address: str = served, before: str = "", **options: Any
        ) -> Watched:
            """`before` is a script that runs ahead of the page's own."""
            touch = {"has_touch": True, "is_mobile": True, "device_scale_factor": 2} if size == "phone" else {}
            context = browser.new_context(viewport=SIZES[size], color_scheme=theme, **touch, **options)
            stack.callback(context.close)
            context.set_default_timeout(15_000)
            if before:
                context.add_init_script(before)
            watched = Watched(context.new_page(), address)
            opened.append(watched)
            watched.page.goto(address)
            return watched

        yield make
        assert [one.wrong for one in opened if one.wrong] == []


@pytest.fixture
def shot(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """Keeps a picture of a page under a name, in the folder FOOTNOTE_SCREENSHOTS where there is one."""
    folder = Path(os.environ.get("FOOTNOTE_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)

    def take(watched: Watched, name: str, **options: Any) -> Path:
        watched.page.wait_for_timeout(400)  # what slides in has come to rest
        file = folder / f"{name}.png"
        watched.page.screenshot(path=file, **options)
        return file

    return take
