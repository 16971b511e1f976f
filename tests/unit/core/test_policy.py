"""When a difference is worth a request, in the cases that a marketer asks about."""

import pytest

from meisa_cdc.core.contact import UNSET
from meisa_cdc.core.policy import MinChange, Policy, causes

STEPS = Policy(thresholds=(1.0, 5.0, 10.0))
FIVE = Policy(min_change=MinChange(amount=5.0))
TENTH = Policy(min_change=MinChange(amount=0.1, relative=True))


@pytest.mark.parametrize("sent", [UNSET, None, 1, "free"])
def test_a_plain_field_is_always_worth_a_request(sent):
    """Without a policy every difference counts."""
    assert causes(Policy(), sent, "pro")


@pytest.mark.parametrize("sent", [UNSET, None, 1, "2026-01-01"])
def test_a_field_that_rides_along_never_is(sent):
    """Not even its first value: it waits for company."""
    assert not causes(Policy(send="with_others"), sent, "2026-01-02")


@pytest.mark.parametrize("policy", [STEPS, FIVE, TENTH])
@pytest.mark.parametrize(
    ("sent", "value"),
    [(UNSET, 3), (None, 3), (3, None), ("three", 3), (3, "3"), (True, 3), (3, False), ([3], 3)],
)
def test_coming_going_and_turning_into_something_else_always_count(policy, sent, value):
    """NULL on either side, a first value, another type: no small step."""
    assert causes(policy, sent, value)


@pytest.mark.parametrize(
    ("sent", "value", "worth"),
    [
        (0, 1, True),
        (1, 4, False),
        (4, 5, True),
        (5, 9.99, False),
        (9.99, 10, True),
        (10, 1000, False),
        (0, 12, True),
        (5, 4, True),
        (4, 1, False),
        (1, 0.5, True),
        (-7, 0, False),
    ],
)
def test_a_threshold_counts_when_it_is_reached_or_left(sent, value, worth):
    """Reached at its very value, from either side, however many at once."""
    assert causes(STEPS, sent, value) is worth


@pytest.mark.parametrize(
    ("sent", "value", "worth"),
    [(10, 14, False), (10, 15, True), (10, 5, True), (-3, 2, True), (-3, -7.9, False)],
)
def test_a_least_change_counts_up_and_down(sent, value, worth):
    """At the very amount it counts; negative numbers are numbers."""
    assert causes(FIVE, sent, value) is worth


@pytest.mark.parametrize(
    ("sent", "value", "worth"),
    [
        (100, 109, False),
        (100, 110, True),
        (100, 90, True),
        (-100, -105, False),
        (-100, -111, True),
        (0, 0.01, True),
    ],
)
def test_a_least_share_is_of_the_value_sent_last(sent, value, worth):
    """From zero any move is infinitely many per cent."""
    assert causes(TENTH, sent, value) is worth


def test_slow_drift_is_sent_in_the_end():
    """Each step is small, but all are measured from what was sent."""
    sent, requests = 100.0, 0
    for value in range(101, 131):
        if causes(TENTH, sent, value):
            sent, requests = value, requests + 1
    assert requests == 2


def test_thresholds_and_a_least_change_hold_together():
    """A crossing that hardly moved is not worth a request."""
    both = Policy(thresholds=(10.0,), min_change=MinChange(amount=3.0))
    assert not causes(both, 9, 10)
    assert causes(both, 9, 12)
