"""Threads that make way, on Linux."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from service.inference import Inference
from service.priority import STEPS, make_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads have a niceness of their own on Linux alone")


def making_way(work):
    with ThreadPoolExecutor(1, initializer=make_way) as executor:
        return executor.submit(work).result()


def niceness():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_makes_way_alone_and_those_it_starts_do():
    own = niceness()
    seen = []

    def start():
        inner = threading.Thread(target=lambda: seen.append(niceness()))
        inner.start()
        inner.join()
        return niceness()

    assert making_way(start) == own + STEPS
    assert seen == [own + STEPS]
    assert niceness() == own


def test_beside_a_process_that_makes_way_itself_and_no_further_when_told_twice():
    code = """
import os
from concurrent.futures import ThreadPoolExecutor
from service.priority import make_way
os.nice(2)
def inner():
    make_way()
    with ThreadPoolExecutor(1, initializer=make_way) as executor:
        return executor.submit(os.nice, 0).result()
with ThreadPoolExecutor(1, initializer=make_way) as executor:
    print(executor.submit(inner).result() - os.nice(0))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(STEPS)


def test_where_it_is_not_allowed_work_goes_on(monkeypatch):
    def refused(*_):
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refused)
    assert making_way(lambda: 7) == 7


def test_questions_are_embedded_by_threads_that_make_way():
    inference = Inference()
    assert inference._executor.submit(niceness).result() == niceness() + STEPS
    inference.close()


def test_it_is_the_thread_and_not_the_process():
    with ThreadPoolExecutor(1) as other:
        before = other.submit(niceness).result()
        threading.Thread(target=make_way).start()
        assert other.submit(niceness).result() == before
