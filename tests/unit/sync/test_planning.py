"""The dry run: what it says, that a run then does just that, and that it writes nothing."""

import pytest

from meisa_cdc.core.mapping import FieldSettings, Priority
from tests.unit.sync.worlds import IDENTITY, PLAN, World, dump, windows


def busy(world: World) -> None:
    """Bring in every kind of contact: of each one, but for two to create."""
    world.people(1, 2, 3, 4, 5, 6)
    world.plans({1: "free", 2: "pro"})
    world.meisa.answers.extend(["accept", "accept", "accept", "accept", 400])
    world.sync()
    world.bodies()
    rows = [(8, "nobody", "Name 8"), (None, "x@example.com", "Nobody")]
    world.people(2, 3, 4, 5, 6, 7, 9, rows=rows)
    world.plans({2: "max", 3: "free", 99: "free"})


def test_a_plan_counts_every_contact_once(world: World):
    """And the rows without a contact beside them."""
    busy(world)
    summary = world.plan().summary
    assert (summary.create, summary.update, summary.unchanged) == (2, 2, 2)
    assert (summary.invalid, summary.quarantined, summary.removed) == (2, 1, 1)
    assert (summary.orphan, summary.requests, summary.riding) == (1, 4, 0)


def test_a_run_does_what_the_plan_said(world: World):
    """The same figures, the same digest, and one request for each."""
    busy(world)
    plan = world.plan()
    ran = world.sync()
    assert (ran.plan.summary, ran.plan.digest) == (plan.summary, plan.digest)
    assert (ran.plan.cost, ran.plan.invalid_rows) == (plan.cost, plan.invalid_rows)
    assert world.sent_keys() == ["7", "9", "2", "3"]


def test_a_plan_names_the_fields_that_cost(world: World):
    """Those that cause a request at all, and those that cause it alone."""
    world.sync()
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.plans({1: "pro", 2: "max"})
    cost = world.plan().cost
    assert cost.by_field == {"first_name": 1, "custom_fields.plan": 2}
    assert cost.sole == {"custom_fields.plan": 1}


def test_a_plan_covers_what_already_waits(world: World):
    """Unread this time, and sent all the same."""
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    assert world.plan().summary.create == 3
    assert world.plan([PLAN]).summary.create == 3


def test_a_plan_says_when_it_would_be_done(world: World):
    """By the arithmetic of the request windows."""
    world.windows = windows("1/10s")
    forecast = world.plan().forecast
    assert (forecast.seconds, forecast.done_at) == (20.0, world.clock.now() + 20.0)


def test_a_dry_run_writes_nothing(world: World):
    """Neither of what it saw nor of what it would hold, and it calls nobody."""
    busy(world)
    world.source.failing = {PLAN}
    before = dump(world.state)
    with world.look() as look:
        assert len(list(look.changes())) == look.plan.summary.requests
        assert len(list(look.invalid())) == look.plan.invalid_rows
    assert dump(world.state) == before
    assert world.meisa.requests == []


def test_a_dry_run_that_would_hold_writes_nothing(world: World):
    """It only says so."""
    world.sync()
    world.bodies()
    world.rows(PLAN).clear()
    before = dump(world.state)
    assert world.plan().holds != ()
    assert dump(world.state) == before


def test_the_changes_are_told_in_order_of_their_keys(world: World):
    """Field by field, from what Meisa holds to what it would."""
    world.sync()
    world.people(10, 9, 1, 2, 3)
    world.plans({1: "pro"})
    with world.look() as look:
        told = {
            each.external_id: {c.field: (c.old, c.new) for c in each.changes}
            for each in look.changes()
        }
    assert list(told) == ["1", "10", "2", "9"]
    assert told["1"] == {"custom_fields.plan": ("free", "pro")}
    assert told["2"] == {"custom_fields.plan": ("pro", None)}
    assert told["9"] == {"email": (None, "9@example.com"), "first_name": (None, "Name 9")}


def test_unusable_rows_are_told_those_without_a_key_first(world: World):
    """Then by contact."""
    world.people(1, 2, rows=[(3, None, "Name 3"), (None, "x@example.com", "Nobody")])
    world.rows(PLAN)[0] = (1, b"binary")
    with world.look() as look:
        told = [(each.external_id, each.field) for each in look.invalid()]
    assert told == [(None, ""), ("1", "custom_fields.plan"), ("3", "")]


@pytest.mark.parametrize(
    ("mapping", "field", "rank"),
    [
        (Priority.NORMAL, None, 1),
        (Priority.URGENT, None, 0),
        (Priority.NORMAL, Priority.URGENT, 0),
        (Priority.URGENT, Priority.BACKGROUND, 2),
    ],
)
def test_the_most_urgent_cause_decides_when_a_contact_is_sent(
    world: World, mapping: Priority, field: Priority | None, rank: int
):
    """A field's own priority overrides its mapping's."""
    world.sync()
    own = {"plan": FieldSettings(priority=field)}
    world.table(PLAN, "external_id plan", [(1, "pro")], priority=mapping, fields=own)
    world.admit()
    assert world.state.contacts["1"].rank == rank


def test_without_identity_those_it_made_unusable_still_count_as_such(world: World):
    """Nobody looked at them again."""
    world.sync()
    world.rows(IDENTITY)[0] = (1, None, "Name 1")
    world.sync()
    summary = world.plan([PLAN]).summary
    assert (summary.invalid, summary.unchanged) == (1, 2)


def test_the_removed_are_not_unusable_as_well(world: World):
    """Each contact is one thing."""
    world.sync()
    world.rows(IDENTITY)[0] = (1, None, "Name 1")
    world.sync()
    world.people(2, 3)
    summary = world.sync().plan.summary
    assert (summary.invalid, summary.removed) == (0, 1)
    summary = world.plan([PLAN]).summary
    assert (summary.invalid, summary.removed, summary.unchanged) == (0, 1, 2)
