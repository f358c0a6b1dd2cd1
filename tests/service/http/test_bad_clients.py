"""Clients that are wrong, slow, silent or many, at a real `footnote serve`: known errors, bounded memory, no end."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import resource
import select
import socket
import subprocess
import sys
import time

import psutil
import pytest

from indexer.build import Request, build
from indexer.progress import Silent
from indexer.settings import IndexerSettings
from store.index import IndexDirectory

HEAD_S, KEEP_ALIVE_S, STALL_S = 1.0, 0.6, 1.0
IDLE = 10_000
READERS = 250
CONNECTIONS_MAX = 2_000
HOST = b"host: localhost\r\n"
POST = b"POST /v1/search HTTP/1.1\r\n" + HOST + b"content-type: application/json\r\n"
BODY = b'{"query": "refunds"}'
SEARCH = POST + b"content-length: %d\r\n\r\n" % len(BODY) + BODY
HEALTH = b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


class Footnote:
    """`footnote serve` in a process of its own."""

    def __init__(self, index, **settings: object) -> None:
        command = [sys.executable, "-m", "footnote", "serve", "--port", "0", "--index", str(index)]
        environment = {f"FOOTNOTE_{name.upper()}": str(value) for name, value in settings.items()}
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | environment
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline().rsplit(":", 1)[1])
        self.process = psutil.Process(self._process.pid)

    def rss_mb(self) -> float:
        return self.process.memory_info().rss / 1e6

    def open_connections(self) -> int:
        return len([one for one in self.process.net_connections("tcp") if one.status == "ESTABLISHED"])

    def connect(self, receive_bytes: int | None = None) -> socket.socket:
        opened = socket.socket()
        if receive_bytes is not None:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        opened.settimeout(20)
        opened.connect(("127.0.0.1", self.port))
        return opened

    def ask(self, data: bytes) -> tuple[int, dict, bytes]:
        """(status, JSON body, all that came) of what is sent on a new connection, up to its end."""
        with self.connect() as opened:
            with contextlib.suppress(OSError):  # hung up on while it was still being sent
                opened.sendall(data)
            got = received(opened)
        head, _, body = got.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        return int(got[9:12] or 0), json.loads(body[:length] or b"{}"), got

    def well(self) -> None:
        """It lives, and answers a search, quickly."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        began = time.monotonic()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        assert time.monotonic() - began < 1.0
        connection.request("POST", "/v1/search", BODY, {"content-type": "application/json"})
        response = connection.getresponse()
        assert response.status == 200
        assert json.loads(response.read())["results"]
        connection.close()

    def stop(self) -> str:
        self._process.terminate()
        _, said = self._process.communicate(timeout=30)
        return said


def received(opened: socket.socket, most: int = 10_000_000) -> bytes:
    """All that comes until the other side hangs up."""
    got = b""
    with contextlib.suppress(ConnectionResetError):
        while len(got) < most and (piece := opened.recv(65_536)):
            got += piece
    return got


def kind(answer: tuple[int, dict, bytes]) -> tuple[int, str]:
    status, body, got = answer
    assert b"content-type: application/problem+json" in got
    assert b"\r\nx-request-id: " + body["request_id"].encode() in got
    assert body["status"] == status
    return status, body["type"].removeprefix("urn:footnote:problem:")


@pytest.fixture(scope="module")
def footnote(shared_index):
    """A service that loses patience soon; it is well after every test, and said nothing went wrong in it."""
    served = Footnote(
        shared_index,
        request_head_ms=HEAD_S * 1000,
        keep_alive_ms=KEEP_ALIVE_S * 1000,
        client_stall_ms=STALL_S * 1000,
        budgets="false",
    )
    yield served
    said = served.stop()
    assert "Traceback" not in said, said
    assert said.count("\n") < 20, "a bad client is no reason to fill the log"


@pytest.fixture(autouse=True)
def stays_up(request):
    yield
    if "footnote" in request.fixturenames:
        request.getfixturevalue("footnote").well()


@pytest.mark.parametrize(
    "given",
    [b"-1", b"0", b"-0", b'"10"', b"1e999", b"NaN", b"Infinity", b"true", b"[]", b"{}", b"1e-400", b"0x10"],
)
def test_a_deadline_in_the_body_that_is_none_is_refused(footnote, given):
    body = b'{"query": "refunds", "deadline_ms": ' + given + b"}"
    request = POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    for path in (b"/v1/search", b"/v1/answer"):
        status, slug = kind(footnote.ask(request.replace(b"/v1/search", path)))
        assert (status, slug) in {(422, "invalid-request"), (400, "invalid-json")}


@pytest.mark.parametrize("given", [b"-1", b"0", b"0.0", b"ten", b"", b"1e3", b"inf", b"nan", b"1,000", b"9" * 5_000])
def test_a_deadline_in_the_header_that_is_none_is_refused(footnote, given):
    head = b"POST /v1/search HTTP/1.1\r\nconnection: close\r\nx-request-deadline-ms: " + given
    request = SEARCH.replace(b"POST /v1/search HTTP/1.1", head)
    assert kind(footnote.ask(request)) == (422, "invalid-request")
    assert kind(footnote.ask(request.replace(b"/v1/search", b"/v1/answer"))) == (422, "invalid-request")


@pytest.mark.parametrize("given", [b"1e308", b"1e300", b"999999999999999999999", b"9223372036854775808"])
@pytest.mark.parametrize("path", [b"/v1/search", b"/v1/answer"])
def test_a_huge_deadline_is_as_good_as_none(footnote, given, path):
    body = b'{"query": "How long do refunds take?", "deadline_ms": ' + given + b"}"
    request = POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    status, told, _ = footnote.ask(request.replace(b"/v1/search", path))
    assert (status, told["degraded"]) == (200, [])


def test_a_deadline_that_has_passed_is_a_504_before_any_work(footnote):
    body = b'{"query": "refunds", "deadline_ms": 5e-324}'
    answer = footnote.ask(POST + b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert kind(answer) == (504, "stage-overrun")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS hello
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /healthz HTTP/1.1\nhost localhost\n\n",
        b"CONNECT example.org:443 HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET http://localhost HTTP/1.1\r\n" + HOST + b"\r\n",
        "GET /größe HTTP/1.1\r\n".encode() + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"x y: 1\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"-1\r\n",
        CHUNKED + b"5\r\nabcdefgh\r\n",
        CHUNKED + b"fffffffffffffffff\r\n",
        POST + b"content-length: -5\r\n\r\n",
        POST + b"content-length: 99999999999999999999999\r\n\r\n",
        POST + b"content-length: 5\r\ncontent-length: 6\r\n\r\nabcdef",
        POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: gzip, chunked, x\r\n\r\n",
    ],
    ids=[
        "tls",
        "http2",
        "line feeds",
        "connect",
        "no path",
        "not ascii",
        "header with a space",
        "chunk size",
        "negative chunk",
        "chunk too short",
        "huge chunk",
        "negative length",
        "huge length",
        "two lengths",
        "length and chunks",
        "codings",
    ],
)
def test_what_is_no_http_is_a_400_and_the_end_of_the_connection(footnote, request_bytes):
    assert kind(footnote.ask(request_bytes)) == (400, "invalid-http")


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"x-long: " + b"a" * 100_000 + b"\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"".join(b"x-%d: 1\r\n" % n for n in range(200)) + b"\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /healthz HTTP/1.1\r\n" + HOST + b"x-endless: " + b"a" * 20_000_000,
        b"GET /" + b"a" * 20_000_000,
        CHUNKED + b"0\r\n" + b"trailer: 1\r\n" * 200 + b"\r\n",
    ],
    ids=["long header", "many headers", "long line", "endless header", "endless line", "many trailers"],
)
def test_headers_over_the_limits_are_a_431(footnote, request_bytes):
    before = footnote.rss_mb()
    assert kind(footnote.ask(request_bytes)) == (431, "head-too-large")
    assert footnote.rss_mb() - before < 20


def test_headers_within_the_limits_are_read(footnote):
    long = b"".join(b"x-%d: %s\r\n" % (n, b"a" * 600) for n in range(90))
    request = HEALTH.replace(HOST, HOST + b"connection: close\r\n" + long)
    assert footnote.ask(request)[0] == 200


@pytest.mark.parametrize("begun", [b"GET /healthz HTTP/1.1\r\nhost: loc", b"\r\n\r\n", b"G"])
def test_a_head_that_does_not_end_is_a_408_however_slowly_it_drips(footnote, begun):
    began = time.monotonic()
    with footnote.connect() as opened:
        opened.sendall(begun)
        while not select.select([opened], [], [], 0.1)[0]:
            opened.sendall(b"a" if begun.startswith(b"GET ") else b"\r\n" if begun.startswith(b"\r") else b"")
            assert time.monotonic() - began < 4 * HEAD_S
        assert received(opened).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began > HEAD_S - 0.1


def test_a_second_head_that_does_not_end_is_a_408_too(footnote):
    with footnote.connect() as opened:
        opened.sendall(HEALTH + b"GET /hea")
        opened.sendall(b"lthz")
        got = received(opened)
        assert got.startswith(b"HTTP/1.1 200 ")
        assert b"HTTP/1.1 408 " in got


@pytest.mark.parametrize("first", [b"", HEALTH], ids=["from the start", "between requests"])
def test_who_says_nothing_is_hung_up_on_without_a_word(footnote, first):
    with footnote.connect() as opened:
        opened.sendall(first)
        assert received(opened).count(b"HTTP/1.1") == len(first[:1])


def test_a_body_that_never_ends_is_a_413_and_its_sender_is_hung_up_on_in_the_end(footnote):
    """However it is framed; what comes after the answer is read for a while, so that the answer can be read."""
    before = footnote.rss_mb()
    with footnote.connect() as opened:
        opened.sendall(CHUNKED)
        sent, answered = 0, b""
        while not answered and sent < 50_000_000:
            opened.sendall(b"186a0\r\n" + b" " * 100_000 + b"\r\n")
            sent += 100_000
            if select.select([opened], [], [], 0)[0]:
                answered = opened.recv(65_536)
        while b"urn:footnote:problem:body-too-large" not in answered:
            piece = opened.recv(65_536)
            assert piece, answered
            answered += piece
        assert answered.startswith(b"HTTP/1.1 413 ")
    assert footnote.rss_mb() - before < 20


def test_who_is_silent_after_a_body_that_came_late_is_hung_up_on(footnote):
    """Its request was refused before it was whole; once it is, the connection waits for another as any does."""
    with footnote.connect() as opened:
        opened.sendall(b"POST /nowhere HTTP/1.1\r\n" + HOST + b"content-length: 10\r\n\r\n12345")
        assert opened.recv(65_536).startswith(b"HTTP/1.1 404 ")
        time.sleep(0.1)
        opened.sendall(b"67890")
        received(opened)


@pytest.mark.slow
def test_a_body_that_stops_arriving_is_a_408_and_the_connection_ends(footnote):
    began = time.monotonic()
    with footnote.connect() as opened:
        opened.settimeout(60)
        opened.sendall(POST + b"content-length: 1000\r\n\r\n" + b'{"query"')
        told = opened.recv(65_536)
        assert told.startswith(b"HTTP/1.1 408 ")
        assert 9 < time.monotonic() - began < 15
        assert b"urn:footnote:problem:request-timeout" in told + received(opened)
    assert time.monotonic() - began < 35


@pytest.mark.parametrize(
    "padding",
    [b"1;" + b"a" * 20_000_000, b"0\r\nx: " + b"y" * 20_000_000, b"1;%s\r\n \r\n" % (b"a" * 38) * 200_000],
    ids=["one extension", "one trailer", "many extensions"],
)  # fmt: skip
def test_a_chunked_body_that_is_all_framing_is_a_400(footnote, padding):
    before = footnote.rss_mb()
    assert kind(footnote.ask(CHUNKED + padding)) == (400, "invalid-http")
    assert footnote.rss_mb() - before < 20


def test_chunks_of_one_byte_are_a_body(footnote):
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in BODY.ljust(20_000))
    status, body, _ = footnote.ask(CHUNKED.replace(HOST, HOST + b"connection: close\r\n") + chunks + b"0\r\n\r\n")
    assert (status, bool(body["results"])) == (200, True)


def test_requests_that_do_not_wait_for_answers_are_answered_in_order(footnote):
    got = footnote.ask(HEALTH * 5 + SEARCH + HEALTH * 5)[2]
    assert got.count(b"HTTP/1.1 200 OK") == 11
    assert got.index(b'"results"') > got.index(b'"status":"ok"')


def test_a_hundred_thousand_requests_that_do_not_wait_cost_nothing(footnote):
    """uvicorn alone reads on after every answer, and keeps them all."""
    before = footnote.rss_mb()
    with footnote.connect() as opened:
        with contextlib.suppress(OSError):
            opened.sendall(SEARCH * 100_000)
        assert 1 <= received(opened).count(b"HTTP/1.1 200 OK") < 50
    assert footnote.rss_mb() - before < 20


def test_what_comes_before_nonsense_is_answered(footnote):
    got = footnote.ask(HEALTH + SEARCH + b"nonsense\r\n\r\n")[2]
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert got.endswith(b"}")


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket", b"anything"])
def test_who_asks_for_another_protocol_is_answered_in_this_one(footnote, protocol):
    """Java's client offers HTTP/2 with every request, bodies too."""
    more = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: " + protocol + b"\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    got = footnote.ask(SEARCH.replace(HOST, HOST + more) + HEALTH)[2]
    assert got.count(b"HTTP/1.1 200 OK") == 2
    assert b'"results"' in got
    with footnote.connect() as opened:  # and its body in pieces
        head, _, body = SEARCH.replace(HOST, HOST + more).partition(b"\r\n\r\n")
        for piece in (head + b"\r\n\r\n", body[:5], body[5:] + HEALTH[:9], HEALTH[9:]):
            opened.sendall(piece)
            time.sleep(0.05)
        assert received(opened).count(b"HTTP/1.1 200 OK") == 2


def test_a_half_closed_socket_counts_as_gone(footnote):
    """A client that leaves looks the same, and work must stop for it."""
    with footnote.connect() as opened:
        opened.sendall(SEARCH)
        opened.shutdown(socket.SHUT_WR)
        got = received(opened)
    assert got == b"" or got.startswith(b"HTTP/1.1 200 OK")


def test_a_connection_that_is_reset_in_the_middle_leaves_nothing(footnote):
    before = footnote.process.num_fds()
    for data in (b"", HEALTH[:10], POST, SEARCH, CHUNKED + b"5\r\nab"):
        opened = footnote.connect()
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        opened.sendall(data)
        opened.close()
    end = time.monotonic() + 5
    while footnote.process.num_fds() > before:
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.fixture(scope="module")
def long_page(tmp_path_factory):
    """An index of one document of 3 MB, which fits into no socket's buffers."""
    folder = tmp_path_factory.mktemp("long")
    lines = "".join(f"Refund {n} of the shop takes {n % 24} days and is paid in winter.\n\n" for n in range(45_000))
    (folder / "pages.jsonl").write_text(json.dumps({"id": "long", "text": lines}) + "\n")
    settings = IndexerSettings(embedding_model="hash:64", language="english", calibrate=False)
    build(IndexDirectory(folder / "index"), Request([str(folder / "pages.jsonl")]), settings, Silent())
    return folder / "index"


@pytest.mark.slow
def test_slow_readers_are_hung_up_on_and_hold_little_however_many(long_page):
    served = Footnote(long_page, client_stall_ms=STALL_S * 1000, budgets="false")
    try:
        request = b"GET /v1/documents/long HTTP/1.1\r\n" + HOST + b"\r\n"
        with served.connect() as well:
            well.sendall(request.replace(HOST, HOST + b"connection: close\r\n"))
            whole = len(received(well))
        served.well()
        before, peak, slowest = served.rss_mb(), 0.0, 0.0
        readers = []
        for _ in range(READERS):
            readers.append(served.connect(4_096))
            readers[-1].sendall(request)
        ends = time.monotonic() + 60
        while served.open_connections() > 0:
            began = time.monotonic()
            served_health = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
            served_health.request("GET", "/healthz")
            served_health.getresponse().read()
            served_health.close()
            slowest = max(slowest, time.monotonic() - began)
            peak = max(peak, served.rss_mb() - before)
            assert time.monotonic() < ends, "they are still there"
            time.sleep(0.02)
        for one in readers:
            one.close()
        held, health_ms = READERS * whole / 1e6, slowest * 1000
        print(f"{READERS} readers of {held:.0f} MB in all: {peak:.0f} MB more, /healthz {health_ms:.0f} ms at most")
        assert peak < 350 < held
        assert slowest < 2.0
    finally:
        served.well()
        assert "Traceback" not in served.stop()


@pytest.mark.slow
def test_a_reader_that_is_slow_but_reads_gets_all(long_page):
    served = Footnote(long_page, client_stall_ms=STALL_S * 1000, budgets="false")
    try:
        with served.connect(4_096) as opened:
            opened.sendall(b"GET /v1/documents/long HTTP/1.1\r\n" + HOST + b"connection: close\r\n\r\n")
            began, got = time.monotonic(), b""
            while piece := opened.recv(65_536):
                got += piece
                if time.monotonic() - began < 3 * STALL_S:
                    time.sleep(0.01)
        assert time.monotonic() - began > 2 * STALL_S
        head, _, body = got.partition(b"\r\n\r\n")
        assert len(body) == int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
    finally:
        served.stop()


@pytest.mark.slow
def test_ten_thousand_idle_connections_are_held_to_the_limit_and_go_away(shared_index):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < IDLE + 1_000:
        pytest.skip(f"this machine lets a process open {hard} files")
    served = Footnote(shared_index, connections_max=CONNECTIONS_MAX, request_head_ms=8_000, budgets="false")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, IDLE + 1_000), hard))
    idle: list[socket.socket] = []
    try:
        served.well()
        before, took = served.rss_mb(), []
        for number in range(IDLE):
            idle.append(served.connect())
            if number % 3 == 0:
                idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nhost: loc")  # and a third has begun to speak
            if number % 250 == 0:
                began = time.monotonic()
                served.well()
                took.append(time.monotonic() - began)
        served.well()
        most = served.open_connections()
        grown = served.rss_mb() - before
        print(
            f"{IDLE} connections: {most} held, {grown:.0f} MB more, health and search {max(took) * 1000:.0f} ms at most"
        )
        assert most <= CONNECTIONS_MAX
        assert grown < 100
        assert max(took) < 2.0
        ends = time.monotonic() + 30
        while served.open_connections() > 1:
            assert time.monotonic() < ends, "they are still there"
            time.sleep(0.1)
        served.well()
    finally:
        for one in idle:
            one.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert "Traceback" not in served.stop()


def test_where_all_connections_are_busy_the_next_one_is_told_so(shared_index):
    served = Footnote(shared_index, connections_max=3, request_head_ms=60_000)
    try:
        busy = [served.connect() for _ in range(3)]
        for one in busy:
            one.sendall(POST + b"content-length: 1000\r\n\r\n{")
        time.sleep(0.3)
        answer = served.ask(b"")
        assert kind(answer) == (503, "overloaded")
        assert b"retry-after: 2\r\n" in answer[2]
        for one in busy:
            one.close()
        served.well()
    finally:
        served.stop()
