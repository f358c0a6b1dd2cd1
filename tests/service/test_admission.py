"""The limit and the queue's rule, by simulation on a clock of the test's own."""

from __future__ import annotations

import heapq
import random

import pytest

from service.admission import ConcurrencyLimit, QueueRule


class Clock:
    def __init__(self):
        self.now = 50.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def simulate(limit, clock, *, seconds, per_s, cores=2, work_ms=5.0, seed=1, queue_max=0):
    """Requests at random moments on `cores` that share their time; requests done, and the largest latency of the last
    half in multiples of the work.
    """
    dice = random.Random(seed)
    end, arrival = clock.now + seconds, clock.now
    running: list[list[float]] = []  # work left (ms), began, running beside it
    done, latencies = 0, []
    while clock.now < end:
        rate = min(cores / len(running), 1.0) if running else 0.0
        leaving = min((one[0] for one in running), default=0.0)
        until_leave = leaving / rate / 1000 if running else float("inf")
        if clock.now + until_leave <= arrival:
            clock.now += until_leave
            for one in running:
                one[0] -= leaving
            finished = min(running, key=lambda one: one[0])
            took_ms = (clock.now - finished[1]) * 1000
            limit.took(took_ms, max(int(finished[2]), len(running)))
            running.remove(finished)
            done += 1
            if clock.now > end - seconds / 2:
                latencies.append(took_ms / work_ms)
            continue
        passed = arrival - clock.now
        for one in running:
            one[0] -= passed * 1000 * rate
        clock.now = arrival
        arrival += dice.expovariate(per_s)
        if len(running) < limit.limit:
            running.append([work_ms * dice.uniform(0.8, 1.2), clock.now, len(running) + 1])
    return done / seconds, heapq.nlargest(max(len(latencies) // 100, 1), latencies)[-1]


def test_under_three_and_ten_times_the_load_throughput_holds_and_latency_is_bounded(clock):
    """Capacity: 2 cores / 5 ms = 400 a second."""
    for load in (3, 10):
        limit = ConcurrencyLimit(clock, initial=32, most=64)
        simulate(limit, clock, seconds=5, per_s=100)
        per_s, p99 = simulate(limit, clock, seconds=20, per_s=400 * load)
        assert per_s >= 0.9 * 400
        assert p99 <= 3
        assert 2 <= limit.limit <= 10


def test_a_service_that_was_never_unloaded_finds_its_limit_by_a_recheck(clock):
    limit = ConcurrencyLimit(clock, initial=64, most=64, recheck_s=5)
    simulate(limit, clock, seconds=30, per_s=4_000)
    assert limit.base_ms == pytest.approx(5, rel=0.5)
    assert limit.limit <= 10


def test_the_limit_recovers_when_work_is_quick_again(clock):
    limit = ConcurrencyLimit(clock, initial=16, most=64)
    simulate(limit, clock, seconds=5, per_s=100)
    for _ in range(200):
        limit.took(100.0, 16)
    assert limit.limit == 2
    simulate(limit, clock, seconds=10, per_s=2_000, cores=16)
    assert limit.limit >= 12


def test_a_limit_that_is_not_reached_does_not_grow(clock):
    limit = ConcurrencyLimit(clock, initial=8, most=64)
    for _ in range(1_000):
        limit.took(5.0, 1)
    assert limit.limit == 8


def test_quiet_times_do_not_lower_the_limit(clock):
    """One request in ten seconds, for an hour: each of them tells what work takes unloaded."""
    limit = ConcurrencyLimit(clock, initial=8, most=64)
    for _ in range(360):
        clock.now += 10
        limit.took(5.0, 1)
        assert limit.limit == 8


@pytest.mark.parametrize("took", [0.0, 1e-9, 1e12])
def test_no_latency_takes_the_limit_out_of_its_bounds(clock, took):
    limit = ConcurrencyLimit(clock, least=3, initial=8, most=9)
    for ms in [5.0] * 20 + [took] * 500:
        limit.took(ms, 9)
        assert 2 <= limit.limit <= 9


def test_a_limit_that_does_not_adapt_stays(clock):
    limit = ConcurrencyLimit(clock, most=64, adapts=False)
    for _ in range(200):
        limit.took(1e6, 64)
    assert limit.limit == 64


def rule_of(clock, **more):
    return QueueRule(clock, **{"length_max": 4, "burst_ms": 500.0, "standing_ms": 20.0} | more)


def test_a_burst_may_wait_and_a_standing_queue_may_not(clock):
    rule = rule_of(clock)
    rule.emptied()
    assert rule.worth_ms() == 500
    clock.now += 0.5
    assert rule.worth_ms() == 20
    rule.emptied()
    assert rule.worth_ms() == 500


def test_who_is_late_or_would_not_have_their_turn_in_time_does_not_wait(clock):
    rule = rule_of(clock)
    assert rule.refusal(0, 0.0) == "late"
    assert rule.refusal(4, None) == "full"
    assert rule.refusal(3, None) is None
    rule.took(800.0, 8)
    assert rule.refusal(3, None) is None
    assert rule.refusal(3, 399.0) == "slow"
    assert rule.refusal(3, 400.0) is None
    assert rule.refusal(0, 99.0) == "slow"
    clock.now += 0.5
    assert rule.refusal(0, None) == "slow"
    assert rule.retry_after_s(3) == 1
    assert rule.retry_after_s(25) == 3
    assert rule.retry_after_s(10_000) == 30


def test_what_a_turn_takes_follows_the_load_both_ways(clock):
    rule = rule_of(clock)
    for _ in range(100):
        rule.took(8_000.0, 8)
    assert rule.refusal(0, None) == "slow"
    for _ in range(100):
        rule.took(40.0, 8)
    assert rule.refusal(3, 21.0) is None


def test_a_queue_without_room_refuses_all(clock):
    assert rule_of(clock, length_max=0).refusal(0, None) == "full"
