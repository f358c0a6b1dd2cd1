"""The measuring side's connection: whole answers, however they arrive, and no waiting for one that never comes."""

from __future__ import annotations

import socket
import threading
import time

import pytest

from benchmarks.kept_connection import KeptConnection

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
            return KeptConnection("127.0.0.1", listening.getsockname()[1])

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
