"""What goes first: new fields trickle out, and no class starves."""

from collections import Counter

import pytest

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import FieldSettings, Priority
from meisa_cdc.sync.once import Limits
from meisa_cdc.sync.push import Push
from tests.unit.sync.worlds import IDENTITY, PLAN, World

SEATS = "custom_fields.seats"
PEOPLE = range(1, 13)


def ranks(world: World) -> dict[str, int | None]:
    """Return the class of each waiting contact."""
    return {key: each.rank for key, each in world.state.contacts.items() if each.rank is not None}


def set_plans(world: World, plan: dict[int, str], seats: dict[int, int | None]) -> None:
    """Let the plan mapping yield two fields."""
    rows = [(key, plan.get(key, "free"), seats.get(key, 1)) for key in PEOPLE]
    urgent = {"plan": FieldSettings(priority=Priority.URGENT)}
    world.table(PLAN, "external_id plan seats", rows, fields=urgent)


@pytest.fixture
def widened(world: World) -> World:
    """Return a world in which all was delivered, and then the plan mapping yields seats too."""
    world.guard = GuardSettings(min_contacts=10_000)
    world.people(*PEOPLE)
    world.plans(dict.fromkeys(PEOPLE, "free"))
    world.sync()
    world.bodies()
    set_plans(world, {}, {})
    world.edit(PLAN)
    return world


def test_a_new_field_goes_out_in_the_background(widened: World):
    """For everybody, since everybody has a difference; also if it is looked at again."""
    for _ in range(2):
        widened.admit(whole=True)
        assert ranks(widened) == {str(key): 2 for key in PEOPLE}
    assert widened.state.contacts["1"].novel == {SEATS}
    assert widened.sync().accepted == len(PEOPLE)
    assert widened.state.contacts["1"].novel == frozenset()


def test_an_urgent_change_overtakes_and_takes_the_new_field_along(widened: World):
    """One request has both."""
    widened.admit()
    set_plans(widened, {7: "pro"}, {})
    widened.admit()
    assert ranks(widened)["7"] == 0
    widened.sync()
    first, second, *_ = widened.bodies()
    assert (first["external_id"], first["custom_fields"]) == ("7", {"plan": "pro", "seats": 1})
    assert second["custom_fields"] == {"seats": 1}


def test_a_second_change_of_the_new_field_has_its_own_priority(widened: World):
    """This one is news about the contact; the others wait on."""
    widened.admit()
    set_plans(widened, {}, {7: 5})
    widened.admit()
    assert {key: rank for key, rank in ranks(widened).items() if rank != 2} == {"7": 1}
    assert widened.state.contacts["7"].novel == frozenset()
    widened.admit(whole=True)
    assert ranks(widened)["7"] == 1


def test_a_change_after_the_new_field_was_sent_has_its_own_priority(widened: World):
    """It is a field like any other."""
    widened.sync()
    set_plans(widened, {}, {7: 5})
    widened.admit()
    assert ranks(widened) == {"7": 1}


def test_the_first_value_of_a_field_that_is_not_new_keeps_its_priority(widened: World):
    """Somebody got something that others have."""
    set_plans(widened, {}, {7: None})
    widened.sync()
    set_plans(widened, {}, {7: 5})
    widened.admit()
    assert widened.state.contacts["7"].ledger.get(SEATS) is None
    assert ranks(widened) == {"7": 1}


def test_a_field_of_a_new_mapping_is_new(widened: World):
    """Whichever file yields it."""
    widened.sync()
    widened.table("contacts/more", "external_id score", [(key, key) for key in PEOPLE])
    widened.admit()
    assert set(ranks(widened).values()) == {2}


def test_a_field_that_moves_to_another_mapping_is_not_new(widened: World):
    """Somebody yielded it before."""
    widened.sync()
    widened.table(PLAN, "external_id plan", [(key, "free") for key in PEOPLE])
    widened.table("contacts/more", "external_id seats", [(key, 2) for key in PEOPLE])
    widened.admit()
    assert set(ranks(widened).values()) == {1}


def test_a_field_that_returns_is_not_new(widened: World):
    """It was mapped once, and Meisa has what it was."""
    widened.sync()
    widened.plans(dict.fromkeys(PEOPLE, "free"))
    widened.edit(PLAN, "third edition")
    widened.sync()
    set_plans(widened, {}, {7: 5})
    widened.edit(PLAN, "fourth edition")
    widened.admit()
    assert ranks(widened) == {"7": 1}


def test_a_newcomer_is_urgent_whatever_is_new(widened: World):
    """Its welcome cannot wait."""
    widened.rows(IDENTITY).append((99, "99@example.com", "New"))
    widened.admit()
    assert ranks(widened)["99"] == 0


def test_a_new_field_that_is_held_is_new_once_it_is_approved(widened: World):
    """The hold only put it off."""
    widened.guard = GuardSettings(min_contacts=3, max_change=0.1, max_missing=0.1)
    held = widened.sync()
    assert len(held.held) == 1
    with widened.look() as look:
        widened.passes().admit(look, approve=held.plan.digest, replace_holds=False)
    assert set(ranks(widened).values()) == {2}


# ---------------------------------------------------------------- nothing starves


@pytest.fixture
def crowded(world: World) -> World:
    """Return a world in which fifty contacts of each class wait."""
    world.guard = GuardSettings(min_contacts=10_000)
    people = range(100, 250)
    world.people(*people)
    world.plans({})
    world.run(limits=Limits()).run()
    world.bodies()
    for name, priority in (("urgent", 0), ("normal", 1), ("background", 2)):
        rows = [(key, 1) for key in people if (key - 100) // 50 == priority]
        world.table(f"contacts/{name}", f"external_id {name}", [], priority=Priority(priority))
        world.sync()
        world.table(f"contacts/{name}", f"external_id {name}", rows, priority=Priority(priority))
    world.admit()
    world.clock.advance(10.0)
    assert world.state.counts().backlog == {0: 50, 1: 50, 2: 50}
    return world


def classes(world: World, push: Push, count: int) -> list[int]:
    """Start so many deliveries; return the class of each."""
    world.meisa.requests.clear()
    while push.started < count:
        push.step(most=count - push.started)
    push.finish(1.0)
    return [(int(key) - 100) // 50 for key in world.sent_keys()]


def test_one_delivery_of_ten_is_for_each_lower_class(crowded: World):
    """The most urgent has the other eight."""
    found = classes(crowded, crowded.push(), 30)
    assert Counter(found) == {0: 24, 1: 3, 2: 3}
    rounds = [Counter(found[start : start + 10]) for start in (0, 10, 20)]
    assert rounds == [{0: 8, 1: 1, 2: 1}] * 3


def test_turns_go_on_over_restarts_and_among_other_requests(crowded: World):
    """Or processes that end early would never get to the background."""
    found = []
    for number in range(30):
        now = crowded.clock.now()
        if number % 3:
            crowded.state.grant("ping", now=now, deadline=now + 1.0, admit=lambda _: ())
        found += classes(crowded, crowded.push(), 1)
        crowded.clock.advance(1.0)
    assert Counter(found) == {0: 24, 1: 3, 2: 3}


def test_a_class_with_nothing_to_deliver_leaves_its_turn(crowded: World):
    """No turn is lost, and the urgent end sooner."""
    for key in range(200, 250):
        crowded.state.not_before[str(key)] = crowded.clock.now() + 1000.0
    assert Counter(classes(crowded, crowded.push(), 30)) == {0: 27, 1: 3}
