"""Fields that ride along, from the app database to Meisa and back into the plan."""

from collections.abc import Iterable

import pytest

from meisa_cdc.core.mapping import FieldSettings
from meisa_cdc.core.policy import Policy
from meisa_cdc.sync.overrides import baseline
from tests.unit.sync.worlds import PLAN, USAGE, World

DAY = 86400.0


def seen(world: World, days: Iterable[str], policy: Policy) -> None:
    """Set when each person was last here."""
    world.table(
        USAGE,
        "external_id last_active",
        list(enumerate(days, 1)),
        fields={"last_active": FieldSettings(policy=policy)},
    )


@pytest.fixture
def lively(world: World) -> World:
    """Return the world after a first sync, with a field that rides along."""
    seen(world, ["mon", "mon", "mon"], Policy(send="with_others", at_least_every=7 * DAY))
    world.sync()
    world.bodies()
    seen(world, ["tue", "tue", "mon"], Policy(send="with_others", at_least_every=7 * DAY))
    return world


def test_riding_along_is_counted_and_costs_nothing(lively: World):
    """Two were here again, and nothing has to be sent for it."""
    summary = lively.plan().summary
    assert (summary.requests, summary.riding, summary.unchanged) == (0, 2, 3)
    assert lively.sync().requests == 0
    summary = lively.plan().summary
    assert (summary.requests, summary.riding, summary.unchanged) == (0, 2, 3)


def test_it_goes_with_what_has_to_be_sent(lively: World):
    """One request for one contact takes the newest of both."""
    lively.sync()
    lively.plans({1: "pro", 2: "pro"})
    assert lively.sync().requests == 1
    (body,) = lively.bodies()
    assert body["custom_fields"] == {"plan": "pro", "last_active": "tue"}
    assert lively.plan().summary.riding == 1


def test_it_is_sent_after_all_when_it_is_due(lively: World):
    """A week later, without the row having changed again, and just once."""
    lively.sync()
    lively.clock.sleep(7 * DAY - 60)
    assert lively.sync().requests == 0
    lively.clock.sleep(120)
    assert lively.plan().summary.requests == 2
    assert lively.sync().requests == 2
    assert lively.sync().requests == 0
    held = lively.held_at_meisa("1")
    assert held is not None
    assert held["custom_fields.last_active"] == "tue"


def test_a_daemon_needs_no_look_for_what_is_due(lively: World):
    """Delivery alone notices."""
    lively.admit()
    lively.clock.sleep(7 * DAY)
    push = lively.push()
    while (wait := push.step()) is not None:
        push.rest(wait)
    assert sorted(lively.sent_keys()) == ["1", "2"]


def test_a_baseline_takes_what_rides_as_sent(lively: World):
    """It has nothing left to take along."""
    lively.sync()
    assert baseline(lively.passes(), [USAGE]).fields == 2
    summary = lively.plan().summary
    assert (summary.riding, summary.requests) == (0, 0)


def test_making_a_field_ride_along_lowers_the_cost(world: World):
    """The plan says what each field alone costs, and that is what is saved."""
    seen(world, ["mon", "mon", "mon"], Policy())
    world.sync()
    world.plans({1: "pro", 2: "pro"})
    seen(world, ["tue", "tue", "tue"], Policy())
    costly = world.plan()
    assert (costly.summary.requests, costly.cost.sole["custom_fields.last_active"]) == (3, 2)
    seen(world, ["tue", "tue", "tue"], Policy(send="with_others"))
    assert world.plan().summary.requests == 1
    assert world.plan([PLAN]).cost.by_field == {"custom_fields.plan": 1}
