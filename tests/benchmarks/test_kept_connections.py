"""The measuring side's connection: whole answers, however they arrive, and no waiting for one that never comes."""

from __future__ import annotations

import asyncio
import socket
import threading
import time

import pytest

from benchmarks import kept_connections
from benchmarks.kept_connections import KeptConnection, KeptConnections, run_on_uvloop

ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 11\r\nx: y\r\n\r\nhello there"


@pytest.fixture
def told():
    """A server that answers each request with the pieces given, then hangs up; and what it was asked."""
    asked = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(answers):
            for answer in answers:
                connection, _ = listening.accept()
                with connection:
                    for pieces in answer:
                        asked.append(connection.recv(65536))
                        for piece in pieces:
                            connection.sendall(piece)
                            time.sleep(0.01)

        def begin(*answers):
            threading.Thread(target=serve, args=(answers,), daemon=True).start()
            return KeptConnection(listening.getsockname()[1])

        yield begin, asked


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_an_answer_is_whole_in_whatever_pieces_it_comes(told, size):
    begin, asked = told
    pieces = [ANSWER[start : start + size] for start in range(0, len(ANSWER), size)]
    connection = begin([pieces, pieces])
    assert connection.post("/v1/x", b'{"a": 1}') == (201, b"hello there")
    assert connection.get("/healthz") == (201, b"hello there")
    connection.close()
    head, body = asked[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/x HTTP/1.1\r\n")
    assert b"content-length: 8" in head
    assert body == b'{"a": 1}'
    assert asked[1].startswith(b"GET /healthz HTTP/1.1\r\n")


def test_who_hangs_up_is_told_and_called_again(told):
    begin, _ = told
    connection = begin([[ANSWER[:30]]], [[ANSWER]])
    with pytest.raises(ConnectionResetError, match="hung up"):
        connection.get("/")
    assert connection.get("/") == (201, b"hello there")
    connection.close()


@pytest.mark.parametrize(
    ("answer", "error"),
    [(ANSWER + b"HTTP/1.1 200", "12 bytes too many"), (b"HTTP/1.1 204 No Content\r\n\r\n", "invalid literal")],
)
def test_what_is_not_one_answer_is_an_error_and_the_next_request_calls_again(told, answer, error):
    begin, _ = told
    connection = begin([[answer]], [[ANSWER]])
    with pytest.raises(ValueError, match=error):
        connection.get("/")
    assert connection.get("/") == (201, b"hello there")
    connection.close()


def test_nobody_waits_for_ever_for_an_answer(told, monkeypatch):
    monkeypatch.setattr(kept_connections, "ANSWER_S_MAX", 0.05)
    begin, _ = told
    connection = begin([[b""] * 20])  # a fifth of a second
    with pytest.raises(TimeoutError):
        connection.get("/")
    connection.close()


class Pieces(asyncio.Protocol):
    """Answers each request with these pieces, and closes after `closes` answers."""

    def __init__(self, pieces, closes=10**9, wait_s=0.0):
        self.pieces, self.left, self.wait_s = pieces, closes, wait_s

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        asyncio.get_running_loop().create_task(self.answer())

    async def answer(self):
        await asyncio.sleep(self.wait_s)
        for piece in self.pieces:
            self.transport.write(piece)
            await asyncio.sleep(0.001)
        self.left -= 1
        if not self.left:
            self.transport.close()


async def served(most, work, **asked):
    """What the work makes of connections to such a server; and how many called there."""
    called = []

    def protocol():
        called.append(Pieces(**asked))
        return called[-1]

    server = await asyncio.get_running_loop().create_server(protocol, "127.0.0.1", 0)
    connections = KeptConnections(server.sockets[0].getsockname()[1], most)
    try:
        return await work(connections), len(called)
    finally:
        connections.close()
        server.close()


@pytest.mark.parametrize("size", [1, 7, 60, 1000])
def test_on_a_loop_an_answer_is_whole_in_whatever_pieces_it_comes(size):
    pieces = [ANSWER[start : start + size] for start in range(0, len(ANSWER), size)]

    async def twice(connections):
        return [await connections.ask(b"GET / HTTP/1.1\r\n\r\n") for _ in range(2)]

    assert run_on_uvloop(served(1, twice, pieces=pieces)) == ([(201, b"hello there")] * 2, 1)


def test_on_a_loop_a_connection_that_was_closed_is_not_used_again():
    async def with_a_pause(connections):
        first = await connections.ask(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)
        return first, await connections.ask(b"GET / HTTP/1.1\r\n\r\n")

    told, called = run_on_uvloop(served(1, with_a_pause, pieces=[ANSWER], closes=1))
    assert told == ((201, b"hello there"),) * 2
    assert called == 2


def test_on_a_loop_the_service_says_that_it_will_close():
    closing = ANSWER.replace(b"x: y", b"Connection: close")

    async def twice(connections):
        return [await connections.ask(b"GET / HTTP/1.1\r\n\r\n") for _ in range(2)]

    assert run_on_uvloop(served(1, twice, pieces=[closing])) == ([(201, b"hello there")] * 2, 2)


def test_on_a_loop_a_broken_answer_is_told_and_its_connection_is_free_again():
    async def twice(connections):
        return [await connections.ask(b"GET / HTTP/1.1\r\n\r\n") for _ in range(2)]

    assert run_on_uvloop(served(1, twice, pieces=[ANSWER[:30]], closes=1)) == ([(0, b"")] * 2, 2)


@pytest.mark.parametrize("answer", [ANSWER + b"HTTP/1.1 200", b"HTTP/1.1 204 No Content\r\n\r\n", ANSWER * 2])
def test_on_a_loop_what_is_not_one_answer_breaks_its_connection(answer):
    async def twice(connections):
        return [await connections.ask(b"GET / HTTP/1.1\r\n\r\n") for _ in range(2)]

    assert run_on_uvloop(served(1, twice, pieces=[answer])) == ([(0, b"")] * 2, 2)


def test_on_a_loop_what_comes_unasked_is_nobodys_answer():
    async def with_a_pause(connections):
        first = await connections.ask(b"GET / HTTP/1.1\r\n\r\n")
        await asyncio.sleep(0.05)  # the second piece comes
        return first, await connections.ask(b"GET / HTTP/1.1\r\n\r\n")

    told, called = run_on_uvloop(served(1, with_a_pause, pieces=[ANSWER, ANSWER.replace(b"hello", b"WRONG")]))
    assert told == ((201, b"hello there"),) * 2
    assert called == 2


def test_on_a_loop_an_answer_that_comes_too_late_is_not_the_next_ones(monkeypatch):
    monkeypatch.setattr(kept_connections, "ANSWER_S_MAX", 0.05)

    async def twice(connections):
        late = await connections.ask(b"GET / HTTP/1.1\r\n\r\n")
        cancelled = asyncio.create_task(connections.ask(b"GET / HTTP/1.1\r\n\r\n"))
        await asyncio.sleep(0.01)
        cancelled.cancel()
        monkeypatch.setattr(kept_connections, "ANSWER_S_MAX", 5.0)
        return late, await connections.ask(b"GET / HTTP/1.1\r\n\r\n")

    assert run_on_uvloop(served(1, twice, pieces=[ANSWER], wait_s=0.1)) == (((0, b""), (201, b"hello there")), 3)


def test_on_a_loop_nobody_waits_for_ever_for_a_connection(monkeypatch):
    monkeypatch.setattr(kept_connections, "WAIT_FOR_CONNECTION_S", 0.05)

    async def two_at_once(connections):
        asked = (connections.ask(b"GET / HTTP/1.1\r\n\r\n") for _ in range(2))
        return await asyncio.gather(*asked, return_exceptions=True)

    (first, second), _ = run_on_uvloop(served(1, two_at_once, pieces=[ANSWER], wait_s=0.3))
    assert first == (201, b"hello there")
    assert isinstance(second, TimeoutError)


def test_on_a_loop_nobody_listens():
    async def once(connections):
        return await connections.ask(b"GET / HTTP/1.1\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    assert run_on_uvloop(once(KeptConnections(port, 1))) == (0, b"")
