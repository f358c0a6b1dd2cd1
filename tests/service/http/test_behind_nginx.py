"""deploy/nginx.conf as it is, but for ports and certificate, in a real nginx before a real service."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.contract import DegradedEvent, MetaEvent

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
OPENSSL = shutil.which("openssl")
NAME = "footnote.example.org"
META = MetaEvent(request_id="r", generation=1, query_used="q", guardrail="verified", model="m")
WRAPPER = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/footnote.conf;
}}
"""

pytestmark = [
    pytest.mark.skipif(NGINX is None, reason="nginx is missing"),
    pytest.mark.skipif(OPENSSL is None, reason="openssl, which makes a certificate, is missing"),
]


@dataclass
class Proxy:
    """nginx in front: where it listens, and what a client trusts."""

    plain: int
    tls: int
    certificate: Path

    def connect(self) -> http.client.HTTPSConnection:
        context = ssl.create_default_context(cafile=str(self.certificate))
        context.check_hostname = False  # the name is not one that resolves
        return http.client.HTTPSConnection("127.0.0.1", self.tls, timeout=15, context=context)

    @contextlib.contextmanager
    def asked(self, method: str, path: str, body: object = None, **headers: str) -> Iterator[http.client.HTTPResponse]:
        """A response, and its connection closed at the end."""
        connection = self.connect()
        data = body if isinstance(body, bytes | None) else json.dumps(body)
        try:
            connection.request(method, path, data, {"host": NAME, "content-type": "application/json"} | headers)
            with connection.getresponse() as response:
                yield response
        finally:
            connection.close()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    made = ["-keyout", "footnote.key", "-out", "footnote.crt", "-days", "1"]
    named = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    command = [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", *made, *named]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=60)
    return folder


@pytest.fixture
def in_front(tmp_path, certificate) -> Iterator[object]:
    """Starts nginx before a port; `edits` are further replacements in the configuration."""
    with contextlib.ExitStack() as stack:

        def start(backend: int, **edits: str) -> Proxy:
            for _ in range(5):  # a port that was free may be taken meanwhile
                proxy = Proxy(free_port(), free_port(), certificate / "footnote.crt")
                write(tmp_path, proxy, backend, edits)
                running = subprocess.Popen(
                    [NGINX, "-e", "stderr", "-p", str(tmp_path), "-c", str(tmp_path / "nginx.conf")],
                    stderr=subprocess.PIPE,
                )
                stack.callback(stop, running)
                if listens(running, proxy):
                    return proxy
                said = running.stderr.read().decode()
                assert "Address already in use" in said, said
            raise AssertionError("no port is free")

        yield start


def write(folder: Path, proxy: Proxy, backend: int, edits: dict[str, str]) -> None:
    """deploy/nginx.conf with this machine's ports and certificate, and what includes it."""
    text = CONFIGURATION.read_text(encoding="utf-8")
    changes = {
        "127.0.0.1:8000": f"127.0.0.1:{backend}",
        "listen 80;": f"listen 127.0.0.1:{proxy.plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{proxy.tls} ssl;",
        "/etc/nginx/footnote.": f"{proxy.certificate.parent}/footnote.",
    }
    for old, new in (changes | edits).items():
        assert old in text, f"deploy/nginx.conf has no {old!r} any more"
        text = text.replace(old, new)
    (folder / "footnote.conf").write_text(text, encoding="utf-8")
    (folder / "nginx.conf").write_text(WRAPPER.format(folder=folder), encoding="utf-8")


def listens(running: subprocess.Popen[bytes], proxy: Proxy) -> bool:
    """Whether it does, once it does; False where it ended instead."""
    end = time.monotonic() + 15
    while running.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", proxy.tls), timeout=1):
            return True
        assert time.monotonic() < end, "nginx did not start"
        time.sleep(0.02)
    return False


def stop(running: subprocess.Popen[bytes]) -> None:
    running.terminate()
    try:
        running.wait(10)
    finally:
        running.kill()
        running.wait()
        running.stderr.close()


class Pipeline:
    """Says meta, then one event each time it is let, then nothing until it is closed."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.began = threading.Event()
        self.closed = threading.Event()
        self.length = 0

    async def answer(self, *_):
        try:
            yield META
            self.began.set()
            while True:
                while not self.let.acquire(blocking=False):  # noqa: ASYNC110  # let go from another thread
                    await asyncio.sleep(0.01)
                yield DegradedEvent(message="one more " + "x" * self.length)
        finally:
            self.closed.set()


@pytest.fixture
def pipeline(monkeypatch) -> Pipeline:
    pipeline = Pipeline()
    monkeypatch.setattr("service.http.routes_questions.answer", pipeline.answer)
    return pipeline


@pytest.fixture
def service(app_over, shared_index, serve):
    """Starts the service as the documents say; returns its port and its application."""

    def start(**settings):
        known = {"public_url": f"https://{NAME}", "trusted_proxies": ["127.0.0.1"]}
        app = app_over(shared_index, **(known | settings))
        return serve(app).port, app

    return start


def event_of(response: http.client.HTTPResponse) -> str:
    """The name of the next event; reads to its end."""
    lines = []
    while (line := response.readline().decode()) != "\n":
        assert line, "the stream ended"
        if not line.startswith(":"):
            lines.append(line)
    return lines[0].removeprefix("event: ").strip() if lines else "ping"


STREAM = {"query": "q", "stream": True}


def test_events_arrive_one_by_one_through_default_buffering(service, in_front, pipeline):
    """Each event is read before the next one is made: nothing is held until there is more of it."""
    directives = re.sub(r"#.*", "", CONFIGURATION.read_text(encoding="utf-8"))
    assert "proxy_buffering" not in directives
    port, _ = service()
    with in_front(port).asked("POST", "/v1/answer", STREAM) as response:
        assert response.getheader("content-type").startswith("text/event-stream")
        assert event_of(response) == "meta"
        for _ in range(5):
            pipeline.let.release()
            assert event_of(response) == "degraded"


def test_without_the_services_header_nginx_would_hold_them_back(service, in_front, pipeline):
    """The control: it is x-accel-buffering that lets them through."""
    port, _ = service()
    proxy = in_front(
        port, **{"proxy_http_version 1.1;": "proxy_http_version 1.1; proxy_ignore_headers X-Accel-Buffering;"}
    )
    connection = proxy.connect()
    connection.request("POST", "/v1/answer", json.dumps(STREAM), {"host": NAME, "content-type": "application/json"})
    assert pipeline.began.wait(10)
    connection.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        connection.getresponse().readline()
    connection.close()


def test_an_answer_is_the_same_through_nginx_and_as_json(service, in_front, sse):
    port, _ = service()
    proxy = in_front(port)
    with proxy.asked("POST", "/v1/answer", {"query": "How long do refunds take?"}) as response:
        whole = json.load(response)
    with proxy.asked("POST", "/v1/answer", {"query": "How long do refunds take?", "stream": True}) as response:
        events = sse(response.read().decode())
    assert events[-1].name == "done"
    assert [one.name for one in events[:2]] == ["meta", "sources"]
    assert events[-1].data["answer"] == whole["answer"]
    assert events[-1].data["citations"] == whole["citations"]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_nginx_stops_the_work_behind_it(service, in_front, pipeline, stream, until):
    port, app = service()
    connection = in_front(port).connect()
    body = json.dumps({"query": "q", "stream": stream})
    connection.request("POST", "/v1/answer", body, {"host": NAME, "content-type": "application/json"})
    if stream:
        response = connection.getresponse()
        assert event_of(response) == "meta"
        response.close()
    assert pipeline.began.wait(10)
    connection.close()
    assert pipeline.closed.wait(10)
    until(lambda: app.state.service.holder._current.leases == 0)


def test_a_client_that_stops_reading_ends_the_work_when_nginx_has_waited_long_enough(service, in_front, pipeline):
    """nginx waits 60 s for such a client (send_timeout), and so does the service itself; here nginx waits 1 s."""
    pipeline.length = 100_000
    port, _ = service()
    proxy = in_front(port, **{"proxy_next_upstream off;": "proxy_next_upstream off; send_timeout 1s;"})
    connection = proxy.connect()
    connection.request("POST", "/v1/answer", json.dumps(STREAM), {"host": NAME, "content-type": "application/json"})
    assert pipeline.began.wait(10)
    pipeline.let.release(1_000)
    assert pipeline.closed.wait(20)
    connection.close()


@pytest.mark.slow
def test_a_silent_stream_outlives_the_read_timeout_by_its_pings(app_over, shared_index, serve, in_front, pipeline):
    port = serve(app_over(shared_index, ping_s=0.3, public_url=f"https://{NAME}")).port
    proxy = in_front(port, **{"proxy_read_timeout 60s;": "proxy_read_timeout 2s;"})
    with proxy.asked("POST", "/v1/answer", STREAM) as response:
        assert event_of(response) == "meta"
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert event_of(response) == "ping"
        pipeline.let.release()
        names = [event_of(response) for _ in range(3)]
        assert "degraded" in names


def test_a_stream_without_pings_would_not(app_over, shared_index, serve, in_front, pipeline):
    """The control: the timeout is one of silence, and is kept."""
    port = serve(app_over(shared_index, ping_s=60.0, public_url=f"https://{NAME}")).port
    proxy = in_front(port, **{"proxy_read_timeout 60s;": "proxy_read_timeout 1s;"})
    with proxy.asked("POST", "/v1/answer", STREAM) as response:
        assert event_of(response) == "meta"
        with pytest.raises((http.client.IncompleteRead, OSError, AssertionError)):
            event_of(response)
    assert pipeline.closed.wait(10)


def test_links_are_those_of_the_public_address(service, in_front):
    port, _ = service(public_url=None, allowed_hosts=[NAME])
    with in_front(port).asked("GET", "/", host=f"{NAME}:8443") as response:
        assert f"curl -s https://{NAME}:8443/v1/answer" in response.read().decode()


def test_what_a_client_says_of_itself_is_not_believed(service, in_front):
    """nginx replaces these headers, and the service believes nginx alone."""
    port, _ = service(public_url=None, allowed_hosts=[NAME])
    proxy = in_front(port)
    forged = {"x-forwarded-host": "evil.example", "x-forwarded-proto": "http"}
    with proxy.asked("GET", "/", **forged) as response:
        assert f"curl -s https://{NAME}/v1/answer" in response.read().decode()
    with proxy.asked("GET", "/", host="evil.example") as response:
        assert response.status == 400
    with proxy.asked("POST", "/v1/search", {"query": "q"}, origin="https://evil.example") as response:
        assert response.status == 403
    with proxy.asked("POST", "/v1/search", {"query": "refunds"}, origin=f"https://{NAME}") as response:
        assert response.status == 200


def test_a_body_that_is_too_large_gets_the_services_own_words(service, in_front):
    port, _ = service()
    proxy = in_front(port)
    with proxy.asked("POST", "/v1/search", b'{"query": "' + b"x" * 1_500_000 + b'"}') as response:
        assert response.status == 413
        assert response.getheader("content-type") == "application/problem+json"
    with proxy.asked("POST", "/v1/search", b"x" * 3_000_000) as response:
        assert response.status == 413, "nginx's own limit"


def test_plain_http_leads_to_https_with_the_method_kept(service, in_front):
    port, _ = service()
    proxy = in_front(port)
    connection = http.client.HTTPConnection("127.0.0.1", proxy.plain, timeout=10)
    connection.request("POST", "/v1/search?x=1", "{}", {"host": NAME, "content-type": "application/json"})
    with connection.getresponse() as response:
        assert (response.status, response.getheader("location")) == (308, f"https://{NAME}/v1/search?x=1")
    connection.close()


def test_a_service_that_is_down_is_a_502_at_once(in_front):
    with in_front(free_port()).asked("GET", "/healthz") as response:
        assert response.status == 502


def test_the_operating_page_tells_of_the_file():
    page = (CONFIGURATION.parents[1] / "docs" / "operating.md").read_text(encoding="utf-8")
    assert "deploy/nginx.conf" in page
