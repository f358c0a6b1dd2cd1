"""Threads that make way for the event loop: long arithmetic must not keep the processor from short answers."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress

STEPS = 3
"""Of niceness: a thread that has it gets half the time of one that has not where both want all, and no less alone."""


def make_way() -> None:
    """The calling thread, and those it starts from now on, come after the process's others. Only Linux knows how."""
    if sys.platform == "linux":
        with suppress(OSError):
            process = os.getpriority(os.PRIO_PROCESS, os.getpid())  # of its main thread: `nice` may have begun it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), process + STEPS)
