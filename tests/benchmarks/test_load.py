"""What the load benchmark makes of what it saw."""

from __future__ import annotations

import json

from benchmarks.load import Measured, Seen, row


def seen(accepted, *, seconds=1.0, took_ms=10.0):
    return Seen(seconds, accepted_ms=[took_ms] * accepted, probes_ms=[1.0])


def test_a_load_is_compared_with_the_larger_peak_beside_it():
    measured = Measured(seen(5), [seen(100), seen(50), seen(80)], [seen(60), seen(40)], 100.0)
    assert [measured.peak_beside(number, 250.0) for number in (0, 1)] == [100.0, 80.0]


def test_what_is_answered_too_late_is_no_goodput():
    one = Seen(2.0, accepted_ms=[10.0, 250.0, 250.1])
    assert one.goodput(250.0) == 1.0


def test_a_service_that_answers_nothing_in_time_has_a_line_too():
    said = row("3x", seen(4, took_ms=900.0), 250.0, 0.0)
    assert said.split()[:4] == ["3x", "4.0", "0.0", "0.00"]


def test_answers_are_read_once_and_let_go():
    told = [{"degraded": ["fuse"], "stages": [{"name": "embed", "took_ms": 3.0}]}, {"degraded": [], "stages": []}]
    one = Seen(1.0, answers=[json.dumps(answer).encode() for answer in told])
    for _ in range(2):
        one.read()
    assert (one.degraded, dict(one.stages_ms), one.answers) == (1, {"embed": [3.0]}, [])
