"""A process that is told to end finishes what it has, and one that dies costs no more than what it held."""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import footnote_processes as processes
import psutil
import pytest

serving, Footnote, Load, fetch = processes.serving, processes.Footnote, processes.Load, processes.fetch
TERM, INT, KILL, HUP = processes.TERM, processes.INT, processes.KILL, processes.HUP

QUESTION = {"query": "How long do refunds take?"}
LIFTED = {
    "budgets": "false",
    "admission_wait_ms": 5_000,
    "admission_standing_ms": 5_000,
}  # a busy machine is no failure


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def script(folder: Path, **reply) -> dict[str, str]:
    """Settings of a chat model that says one line, as it is told to."""
    path = folder / "script.jsonl"
    path.write_text(json.dumps({"pieces": ["Refunds take 14 days [1]. ", "Refunds take 14 days [1]."], **reply}) + "\n")
    settings = {"generator": "scripted", "generator_script": path, "abstain_below": 0, "budgets": "false"}
    return {**settings, "generator_between_ms": 60_000}


def test_a_draining_application_is_not_ready_and_closes_connections_after_their_answer(client):
    client.app.state.drain.begin()

    ready, alive, found = client.get("/readyz"), client.get("/healthz"), client.post("/v1/search", json=QUESTION)

    assert (ready.status_code, ready.json()["type"]) == (503, "urn:footnote:problem:draining")
    assert "retry-after" in ready.headers
    assert (alive.status_code, found.status_code) == (200, 200)
    assert found.headers["connection"] == "close"


def test_after_the_limit_nothing_is_begun_any_more(client):
    client.app.state.drain.expire()

    refused = client.post("/v1/search", json=QUESTION)

    assert (refused.status_code, refused.json()["type"]) == (503, "urn:footnote:problem:draining")


@pytest.mark.slow
def test_told_to_end_it_is_not_ready_at_once_answers_for_the_grace_period_and_finishes_streams(shared_index, tmp_path):
    settings = script(tmp_path, delay_ms=1_200) | {"drain_grace_ms": 800}
    with serving(shared_index, cwd=tmp_path, **settings) as one:
        stream = one.stream(QUESTION)
        kept = one.kept()
        assert fetch(kept, "GET", "/readyz")[0] == 200
        one.tell(TERM)
        time.sleep(0.2)
        ready = one.request("GET", "/readyz")
        status, headers, _ = fetch(kept, "POST", "/v1/search", QUESTION)
        text = stream.read().decode()

        assert (ready[0], json.loads(ready[2])["type"]) == (503, "urn:footnote:problem:draining")
        assert (status, headers["connection"]) == (200, "close")
        assert text.count("event: done") == 1
        assert "event: error" not in text
        assert '"verdict":"grounded"' in text
        assert one.ended() == 0
        assert "Traceback" not in one.log


@pytest.mark.slow
def test_what_runs_at_the_limit_gets_its_one_last_word(shared_index, tmp_path):
    settings = script(tmp_path, stall=True) | {"drain_grace_ms": 0, "drain_limit_ms": 500}
    with serving(shared_index, cwd=tmp_path, **settings) as one:
        stream = one.stream(QUESTION)
        waiting = one.kept()
        waiting.request("POST", "/v1/answer", json.dumps(QUESTION), processes.JSON)
        time.sleep(0.5)
        began = time.monotonic()
        one.tell(TERM)
        text = stream.read().decode()
        answer = waiting.getresponse()

        assert text.count("event: sentence") == 1
        assert text.count("event: error") + text.count("event: done") == 1
        assert "urn:footnote:problem:draining" in text
        assert answer.status == 503
        assert json.loads(answer.read())["type"] == "urn:footnote:problem:draining"
        assert one.ended() == 0
        assert time.monotonic() - began < 5
        assert "Traceback" not in one.log


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("sig", [TERM, INT])
def test_told_twice_it_ends_at_once(shared_index, tmp_path, workers, sig):
    settings = script(tmp_path, stall=True) | {"drain_grace_ms": 20_000, "drain_limit_ms": 20_000}
    with serving(shared_index, "--workers", workers, cwd=tmp_path, **settings) as one:
        stream = one.stream(QUESTION)
        stream.readline()
        children = one.workers()
        one.tell(sig)
        time.sleep(0.5)
        assert one.process.poll() is None
        began = time.monotonic()
        one.tell(sig)

        assert one.ended() == -sig
        assert time.monotonic() - began < 2
        assert [child.pid for child in children if alive(child)] == []


@pytest.mark.slow
def test_a_person_who_stops_it_waits_for_no_grace_period(shared_index, tmp_path):
    with serving(shared_index, cwd=tmp_path, drain_grace_ms=20_000) as one:
        began = time.monotonic()
        one.tell(INT)

        assert one.ended() == 0
        assert time.monotonic() - began < 3


@pytest.mark.slow
def test_a_worker_that_was_killed_is_replaced_and_all_end_together(shared_index, tmp_path, until):
    with serving(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=100) as one:
        before = {worker.pid for worker in one.workers()}
        assert len(before) == 2
        psutil.Process(min(before)).kill()
        until(lambda: len(one.workers()) == 2 and {worker.pid for worker in one.workers()} != before, 15)
        assert [one.request("POST", "/v1/search", QUESTION)[0] for _ in range(10)] == [200] * 10
        after = one.workers()
        one.tell(TERM)

        assert one.ended() == 0
        assert "killed by SIGKILL" in one.log
        assert not any(alive(worker) for worker in after)


@pytest.mark.slow
def test_workers_do_not_outlive_a_parent_that_was_killed(shared_index, tmp_path, until):
    with serving(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=0) as one:
        workers = one.workers()
        one.tell(KILL)
        one.ended()

        until(lambda: not any(alive(worker) for worker in workers), 15)


@pytest.mark.slow
def test_where_workers_die_at_their_start_over_and_over_it_gives_up_and_says_so(shared_index, tmp_path):
    (tmp_path / "path").mkdir()
    broken = "import os, sys\nif 'service.http.worker' in sys.orig_argv: os._exit(7)\n"
    (tmp_path / "path" / "sitecustomize.py").write_text(broken)
    one = Footnote(shared_index, "--workers", "2", cwd=tmp_path, path=str(tmp_path / "path"))

    assert one.ended(60) == 1
    assert "exit code 7" in one.log
    assert "giving up" in one.log
    one.close()


@pytest.mark.slow
@pytest.mark.parametrize("keep", [True, False], ids=["kept connections", "new connections"])
def test_a_second_start_on_the_same_socket_under_load_fails_no_request(shared_index, tmp_path, keep):
    with processes.listening() as listener:
        fd = listener.fileno()
        options = {"cwd": tmp_path, "fds": (fd,), **LIFTED}
        with (
            serving(shared_index, "--fd", str(fd), drain_grace_ms=500, **options) as old,
            Load(old.port, keep=keep) as load,
        ):
            time.sleep(0.5)
            with serving(shared_index, "--fd", str(fd), drain_grace_ms=100, **options) as new:
                assert new.port == old.port
                old.tell(TERM)
                assert old.ended() == 0
                before = load.answered
                time.sleep(1.0)
                assert load.answered > before
                load.__exit__()
    assert load.failures == []
    assert load.answered > 50


@pytest.mark.slow
def test_replacing_all_workers_under_load_fails_no_request(shared_index, tmp_path, until):
    with serving(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=300, **LIFTED) as one:
        before = {worker.pid for worker in one.workers()}
        with Load(one.port) as load:
            one.tell(HUP)
            until(lambda: len(one.workers()) == 2 and not before & {worker.pid for worker in one.workers()}, 90)
            time.sleep(0.3)
        assert load.failures == []
        assert load.answered > 50
        one.tell(TERM)
        assert one.ended() == 0


@pytest.mark.slow
def test_told_to_end_while_workers_are_replaced_it_ends(shared_index, tmp_path, until):
    """A successor that has not served yet leaves with the others."""
    with serving(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=1_500) as one:
        one.tell(HUP)
        until(lambda: len(one.workers()) == 3, 30)
        one.tell(TERM)
        assert one.ended() == 0
        assert "Traceback" not in one.log


@pytest.mark.slow
@pytest.mark.parametrize("sig", [HUP, TERM])
def test_a_signal_that_a_thread_of_a_library_takes_is_obeyed_too(shared_index, tmp_path, until, sig):
    """The system gives it to any thread that does not block it; its default would end the process where it stands."""
    with serving(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=1_500) as one:
        workers = one.workers()
        others = [thread.id for thread in psutil.Process(one.pid).threads() if thread.id != one.pid]
        if not others:
            pytest.skip("no library began a thread")
        assert ctypes.CDLL(None).tgkill(one.pid, others[0], int(sig)) == 0
        if sig == HUP:
            until(lambda: len(one.workers()) == 3, 30)
            one.tell(TERM)
        assert one.ended() == 0
        assert not any(map(alive, workers))


@pytest.mark.slow
def test_what_is_no_listening_socket_is_refused(shared_index, tmp_path):
    with Path(os.devnull).open() as file:
        for given in (file.fileno(), 950):
            one = Footnote(shared_index, "--fd", str(given), cwd=tmp_path, fds=(file.fileno(),))
            assert one.ended() == 2
            assert "socket" in one.log
            assert "Traceback" not in one.log
            one.close()


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
def test_systemds_socket_is_served_and_it_is_told_when(shared_index, tmp_path, workers):
    address = str(tmp_path / "notify")
    with processes.listening() as listener, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(40)
        port, fd = listener.getsockname()[1], listener.fileno()
        serve = f"{sys.executable} -m footnote serve --index {shared_index} --port 1 --workers {workers}"
        one = subprocess.Popen(
            ["bash", "-c", f"export LISTEN_PID=$$ LISTEN_FDS=1; exec {serve} 3<&{fd}"],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(processes.ROOT),
                "NOTIFY_SOCKET": address,
                "FOOTNOTE_DRAIN_GRACE_MS": "0",
            },
            pass_fds=(fd,),
            stdout=subprocess.DEVNULL,
        )
        try:
            assert manager.recv(100) == b"READY=1"
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            assert fetch(connection, "GET", "/readyz")[0] == 200
            connection.close()
            one.send_signal(TERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert one.wait(20) == 0
        finally:
            one.kill()
            one.wait(10)


@pytest.mark.slow
def test_a_worker_that_hangs_when_told_to_end_is_killed(shared_index, tmp_path):
    with serving(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=0, drain_limit_ms=100) as one:
        workers = one.workers()
        workers[0].suspend()
        one.tell(TERM)

        assert one.ended(20) == 0
        assert [worker.pid for worker in workers if alive(worker)] == []
        assert f"worker {workers[0].pid} was told to end" in one.log


@pytest.mark.slow
@pytest.mark.parametrize("after_s", [0.3, 1.5, 2.5])
def test_told_to_end_while_it_starts_it_ends_and_leaves_nothing(shared_index, tmp_path, after_s):
    one = Footnote(shared_index, "--workers", "2", cwd=tmp_path, drain_grace_ms=0)
    time.sleep(after_s)
    workers = one.workers()
    one.tell(TERM)

    assert one.ended() in (0, -TERM)
    assert [worker.pid for worker in workers if alive(worker)] == []
    assert "Traceback" not in one.log
    one.close()
