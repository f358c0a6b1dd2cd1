"""The breaker opens, waits, probes; budgets hold; all on a clock that the test sets."""

from __future__ import annotations

import pytest

from service.adapters.breaker import Breaker, CallBudget
from service.adapters.hedge import Hedge


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def breaker(clock):
    return Breaker(clock, failures_max=3, open_s=2.0)


def fail(breaker, times):
    for _ in range(times):
        breaker.failed(breaker.admit())


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not(breaker):
    fail(breaker, 2)
    breaker.succeeded(breaker.admit())
    fail(breaker, 2)
    assert breaker.state == "closed"
    fail(breaker, 1)
    assert breaker.state == "open"
    assert breaker.admit() is None


def test_after_a_while_one_probe_at_a_time_is_let_through(breaker, clock):
    fail(breaker, 3)
    clock.now += 1.99
    assert breaker.admit() is None
    clock.now += 0.01
    assert breaker.state == "half_open"
    probe = breaker.admit()
    assert probe is not None
    assert breaker.admit() is None
    breaker.succeeded(probe)
    assert breaker.state == "closed"
    fail(breaker, 2)
    assert breaker.state == "closed"


def test_a_probe_that_fails_opens_it_anew_and_one_that_is_given_up_frees_its_place(breaker, clock):
    fail(breaker, 3)
    clock.now += 2
    breaker.failed(breaker.admit())
    assert breaker.state == "open"
    clock.now += 2
    breaker.left(breaker.admit())
    assert breaker.state == "half_open"
    breaker.succeeded(breaker.admit())
    assert breaker.state == "closed"


def test_calls_of_before_say_nothing_about_now(breaker, clock):
    old = [breaker.admit() for _ in range(4)]
    fail(breaker, 3)
    breaker.succeeded(old[0])
    assert breaker.state == "open"
    clock.now += 2
    probe = breaker.admit()
    for outcome, permit in zip((breaker.failed, breaker.left, breaker.succeeded), old[1:], strict=True):
        outcome(permit)
        assert breaker.admit() is None
        assert breaker.state == "half_open"
    breaker.succeeded(probe)
    assert breaker.state == "closed"


@pytest.mark.parametrize("share", [0.05, 0.1, 1 / 3])
def test_extra_calls_never_exceed_their_share(share):
    budget, taken = CallBudget(share), 0
    for request in range(1, 1_000):
        budget.called()
        while budget.take():
            taken += 1
        assert taken <= request * share + 1e-6
    assert taken >= int(999 * share)


def test_quiet_times_save_only_so_much():
    budget = CallBudget(0.1, saved_max=2)
    for _ in range(1_000):
        budget.called()
    assert [budget.take() for _ in range(3)] == [True, True, False]


def test_a_hedge_waits_for_what_most_calls_take_and_hung_calls_count():
    hedge = Hedge(0.05)
    for one in range(39):
        hedge.took(one / 100)
    assert hedge.delay_s() is None
    for one in range(39, 98):
        hedge.took(one / 100)
    hedge.took(None)
    hedge.took(None)
    assert hedge.delay_s() == 0.95
    for _ in range(400):
        hedge.took(None)
    assert hedge.delay_s() is None
