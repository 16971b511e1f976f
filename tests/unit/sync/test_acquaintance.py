"""Which Meisa this is, and what it lets us send."""

from dataclasses import replace

import pytest

from meisa_cdc.core.errors import StateRefused
from meisa_cdc.sync.acquaintance import Terms, check_belongs, limits_of
from tests.unit.sync.worlds import World

DOCUMENTED = ((60, 60.0), (1000, 3600.0))


def test_f17_a_state_remembers_which_meisa_it_was_filled_from(world: World):
    """From the first one on."""
    check_belongs(world.state, world.meisa.ping())
    assert world.state.belongs_to() == {"product": "sandbox", "environment": "test"}
    world.sync()
    check_belongs(world.state, world.meisa.ping())


@pytest.mark.parametrize(("product", "environment"), [("live", "test"), ("sandbox", "production")])
def test_f17_another_meisa_is_refused_and_both_are_named(
    world: World, product: str, environment: str
):
    """What a sandbox was sent is not what live holds."""
    check_belongs(world.state, world.meisa.ping())
    world.sync()
    other = replace(world.meisa.ping(), product=product, environment=environment)
    with pytest.raises(StateRefused) as caught:
        check_belongs(world.state, other)
    assert "product sandbox (test)" in caught.value.message
    assert f"product {product} ({environment})" in caught.value.message
    assert "state.url" in caught.value.hint
    assert world.state.belongs_to() == {"product": "sandbox", "environment": "test"}


def test_f17_a_state_without_contacts_belongs_to_nobody_yet(world: World):
    """Somebody tried the sandbox's key first, and sent nothing."""
    check_belongs(world.state, world.meisa.ping())
    check_belongs(world.state, replace(world.meisa.ping(), product="live"))
    assert world.state.belongs_to() == {"product": "live", "environment": "test"}


@pytest.mark.parametrize(
    ("per_minute", "per_hour", "limits"),
    [
        (120, None, ((120, 60.0), (1000, 3600.0))),
        (120, 5000, ((120, 60.0), (5000, 3600.0))),
        (None, None, DOCUMENTED),
        (0, 0, DOCUMENTED),
    ],
)
def test_meisa_may_report_other_limits_than_are_documented(
    world: World,
    per_minute: int | None,
    per_hour: int | None,
    limits: tuple[tuple[int, float], ...],
):
    """What it does not report is as documented."""
    ping = replace(world.meisa.ping(), per_minute=per_minute, per_hour=per_hour)
    assert limits_of(ping) == limits


def test_without_an_answer_the_documented_limits_hold():
    """A plan asks nobody."""
    assert limits_of(None) == DOCUMENTED


def test_configured_limits_hold_whatever_meisa_says(world: World):
    """A part of them is left to others."""
    terms = Terms(configured=((10, 1.0),), reserve=0.1)
    assert [(w.count, w.period) for w in terms.windows(world.meisa.ping())] == [(9, 1.0)]


def test_reported_limits_hold_where_none_are_configured(world: World):
    """Less the reserve."""
    terms = Terms(configured=None, reserve=0.1)
    ping = replace(world.meisa.ping(), per_minute=100)
    assert [window.count for window in terms.windows(ping)] == [90, 900]
    assert [window.count for window in terms.windows()] == [54, 900]
