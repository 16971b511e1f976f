"""What a person tells the ledger: the present was sent already, or has to be sent again."""

import pytest

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import Column
from meisa_cdc.records import MappingRecord
from meisa_cdc.sync.overrides import Baselined, baseline, fields_of, resync
from meisa_cdc.testing import MemoryState
from tests.unit.sync.worlds import IDENTITY, PLAN, World

EMAIL, NAME, PLAN_FIELD = "email", "first_name", "custom_fields.plan"


def take(world: World, *due: str, fields: set[str] | None = None) -> Baselined:
    """Take what these mappings yield as sent."""
    return baseline(world.passes(), due or world.mappings, fields)


def again(world: World, **what: set[str]) -> int:
    """Have these fields of these contacts sent again."""
    return resync(world.state, world.clock, **what)


# -------------------------------------------------------------------- baseline


def test_a_baseline_sends_nothing_then_or_later(world: World):
    """The present counts as acknowledged."""
    done = take(world)
    assert (done.contacts, done.fields, done.in_doubt, done.failures) == (3, 8, 0, ())
    ran = world.sync()
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 3)
    assert world.state.contacts["1"].ledger == {
        EMAIL: "1@example.com",
        NAME: "Name 1",
        PLAN_FIELD: "free",
    }


def test_a_difference_from_the_baseline_is_sent(world: World):
    """Alone, as an update: Meisa knows the contact."""
    world.sync()
    world.bodies()
    world.state = MemoryState()
    take(world)
    world.plans({1: "pro", 2: "pro"})
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "pro"}}
    ]


def test_a_second_baseline_has_nothing_to_do(world: World):
    """Everything is as it was."""
    take(world)
    assert take(world) == Baselined()


def test_a_baseline_can_be_of_one_mapping(world: World):
    """The others' differences go out."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.plans({1: "pro", 2: "max"})
    done = take(world, PLAN)
    assert (done.contacts, done.fields) == (2, 2)
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "first_name": "Renamed"}
    ]


def test_a_baseline_can_be_of_one_field(world: World):
    """The other one of the same mapping goes out."""
    world.table(PLAN, "external_id plan cycle", [(1, "free", "month")])
    world.sync()
    world.bodies()
    world.table(PLAN, "external_id plan cycle", [(1, "pro", "year")])
    done = take(world, fields={PLAN_FIELD})
    assert (done.contacts, done.fields) == (1, 1)
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"cycle": "year"}}
    ]


def test_newcomers_are_part_of_a_whole_baseline_only(world: World):
    """One field cannot make a contact known to Meisa."""
    assert take(world, fields={PLAN_FIELD}) == Baselined()
    assert take(world, PLAN) == Baselined()
    assert world.state.contacts == {}
    assert take(world, IDENTITY).contacts == 3


def test_what_waited_is_taken_as_sent_too(world: World):
    """It leaves the backlog."""
    world.admit()
    done = take(world)
    assert (done.contacts, done.fields) == (3, 8)
    assert world.state.counts().backlog == {}
    assert world.sync().requests == 0


@pytest.mark.parametrize("fields", [None, {PLAN_FIELD}, {NAME}])
def test_what_waited_and_is_no_difference_any_more_is_not_sent(
    world: World, fields: set[str] | None
):
    """The app went back to what Meisa holds before it was delivered."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    world.plans({1: "free", 2: "pro"})
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    take(world, fields=fields)
    world.push().step()
    world.sync()
    sent = [body.get("custom_fields", {}) for body in world.bodies()]
    assert sent in ([], [{}])
    assert world.state.contacts["1"].ledger[PLAN_FIELD] == "free"


def test_what_waited_in_another_field_still_goes_out(world: World):
    """A baseline of one field touches no other."""
    world.sync()
    world.bodies()
    world.plans({1: "pro", 2: "pro"})
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.admit()
    take(world, fields={PLAN_FIELD})
    world.push().step()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "first_name": "Renamed"}
    ]


def test_what_is_in_doubt_stays_in_doubt_and_is_counted(world: World):
    """Nobody knows what Meisa holds; the present value is sent."""
    world.sync()
    world.plans({1: "pro", 2: "pro"})
    world.meisa.answers.append("timeout_applied")
    world.sync()
    world.bodies()
    world.rows(PLAN)[0] = (1, "max")
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    done = take(world)
    assert (done.contacts, done.fields, done.in_doubt) == (1, 1, 1)
    world.clock.advance(60)
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "max"}}
    ]
    assert world.sync().requests == 0


def test_a_quarantined_contact_can_be_taken_as_sent(world: World):
    """The operator mended it by hand over there."""
    world.sync()
    world.plans({1: "pro", 2: "pro"})
    world.meisa.answers.append(422)
    world.sync()
    world.bodies()
    assert take(world).fields == 1
    ran = world.sync()
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 3)
    assert world.state.contacts["1"].quarantine is None


def test_a_baseline_takes_nobody_who_is_unusable_or_gone(world: World):
    """They are marked, as by a pass."""
    world.sync()
    world.people(2, rows=[(3, None, "Name 3"), (4, "nobody", "Name 4")])
    assert take(world) == Baselined()
    assert not world.state.contacts["1"].present
    assert world.state.contacts["3"].invalid == "email_missing"
    assert "4" not in world.state.contacts


def test_a_contact_that_was_unusable_and_is_not_any_more_is_taken(world: World):
    """With all that changed meanwhile."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (1, None, "Name 1")
    world.sync()
    world.rows(IDENTITY)[0] = (1, "new@example.com", "Name 1")
    assert take(world).fields == 1
    assert world.sync().requests == 0
    assert world.state.contacts["1"].ledger[EMAIL] == "new@example.com"


def test_what_other_fields_of_it_wait_for_goes_out(world: World):
    """A field alone was taken as sent; the contact is usable again."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.admit()
    world.rows(IDENTITY)[0] = (1, None, "Renamed")
    world.admit()
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.plans({1: "pro", 2: "pro"})
    take(world, fields={PLAN_FIELD})
    world.push().step()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "first_name": "Renamed"}
    ]


def test_a_baseline_tells_what_failed(world: World):
    """And takes the rest."""
    world.sync()
    world.source.failing = {PLAN}
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Renamed")
    world.plans({1: "pro", 2: "pro"})
    done = take(world)
    assert (done.fields, done.failures) == (1, (f"{PLAN}: statement timeout",))
    world.source.failing = set()
    world.bodies()
    world.sync()
    assert [body["custom_fields"] for body in world.bodies()] == [{"plan": "pro"}]


def test_a_baseline_ends_a_hold(world: World):
    """It is how things are."""
    world.guard = GuardSettings(min_contacts=2)
    take(world)
    world.edit(PLAN)
    world.plans({1: "a", 2: "b"})
    assert world.sync().held != ()
    take(world, PLAN)
    ran = world.sync()
    assert (ran.held, ran.requests, world.state.holds()) == ((), 0, [])


def test_fields_are_named_as_in_the_ledger():
    """For the options of `baseline` and `resync`."""
    columns = (Column(name="external_id"), Column(name="email"), Column(name="plan"))
    record = MappingRecord(name=IDENTITY, digest="", columns=columns, read_at=None)
    assert fields_of([record]) >= {EMAIL, PLAN_FIELD}


# -------------------------------------------------------------------- resync


def test_a_resync_sends_everything_again_in_the_background(world: World):
    """As updates, exempt from the guard."""
    world.guard = GuardSettings(min_contacts=1)
    world.sync(approve=world.plan().digest)
    world.bodies()
    assert again(world) == 3
    assert world.state.counts().backlog == {2: 3}
    ran = world.sync()
    assert ran.held == ()
    assert world.bodies() == [
        {
            "external_id": "1",
            "email": "1@example.com",
            "first_name": "Name 1",
            "custom_fields": {"plan": "free"},
        },
        {
            "external_id": "2",
            "email": "2@example.com",
            "first_name": "Name 2",
            "custom_fields": {"plan": "pro"},
        },
        {"external_id": "3", "email": "3@example.com", "first_name": "Name 3"},
    ]
    assert world.sync().requests == 0


def test_a_resync_can_be_of_a_field(world: World):
    """Of those who ever had it."""
    world.sync()
    world.bodies()
    assert again(world, fields={PLAN_FIELD}) == 2
    world.sync()
    assert world.bodies() == [
        {"external_id": "1", "email": "1@example.com", "custom_fields": {"plan": "free"}},
        {"external_id": "2", "email": "2@example.com", "custom_fields": {"plan": "pro"}},
    ]


def test_a_resync_can_be_of_a_contact(world: World):
    """One that does not exist is nobody."""
    world.sync()
    world.bodies()
    assert again(world, contacts={"2", "99"}) == 1
    world.sync()
    assert world.sent_keys() == ["2"]


def test_a_resync_sends_the_present_value(world: World):
    """Not the one that was sent once."""
    world.sync()
    world.bodies()
    again(world, fields={PLAN_FIELD}, contacts={"1"})
    world.plans({1: "max", 2: "pro"})
    world.sync()
    assert [body["custom_fields"] for body in world.bodies()] == [{"plan": "max"}]


def test_a_resync_does_not_slow_down_what_is_urgent(world: World):
    """What waited keeps its class."""
    world.sync()
    world.plans({1: "pro", 2: "pro"})
    world.admit()
    again(world)
    assert world.state.counts().backlog == {1: 1, 2: 2}


def test_a_resync_leaves_out_who_is_gone(world: World):
    """And who was never sent."""
    world.sync()
    world.people(2, 3, 4)
    world.admit()
    assert again(world) == 2


def test_a_resync_of_somebody_unusable_waits(world: World):
    """Until there is an address to send it to."""
    world.sync()
    world.bodies()
    world.rows(IDENTITY)[0] = (1, None, "Name 1")
    world.sync()
    assert again(world, contacts={"1"}) == 1
    world.sync()
    assert world.bodies() == []
    world.rows(IDENTITY)[0] = (1, "1@example.com", "Name 1")
    world.sync()
    assert world.sent_keys() == ["1"]
