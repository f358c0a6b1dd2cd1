"""Threads that make way for the event loop: long arithmetic must not keep the processor from short answers."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

T = TypeVar("T")

STEPS = 3
"""Of niceness: a thread that has it gets half the time of one that has not where both want all, and no less alone."""


def make_way() -> None:
    """The calling thread, and those it starts from now on, come after the process's others. Only Linux knows how."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), STEPS)


def making_way(work: Callable[[], T]) -> T:
    """The result of `work`, done in a thread that makes way, as do the threads it starts; raises as it does."""
    with ThreadPoolExecutor(1, initializer=make_way) as executor:
        return executor.submit(work).result()
