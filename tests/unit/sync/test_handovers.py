"""Addresses that change hands: the leaver first, circles, those who are gone and may return."""

import pytest

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.sync.overrides import baseline
from tests.unit.sync.test_addresses import codes, set_address
from tests.unit.sync.test_late import drain
from tests.unit.sync.test_push import Died, die_at
from tests.unit.sync.worlds import IDENTITY, PLAN, Row, World

ADDRESS = "1@example.com"


@pytest.fixture
def settled(world: World) -> World:
    """Return a world in which all was delivered; contact 1 is on the plan pro."""
    world.plans({1: "pro", 2: "pro"})
    world.sync()
    world.bodies()
    return world


def without(world: World, key: int, *rows: Row) -> None:
    """Delete a contact from the app, and add rows."""
    kept = [row for row in world.rows(IDENTITY) if row[0] != key]
    world.table(IDENTITY, "external_id email first_name", [*kept, *rows])


def meisa_has(world: World, key: str) -> dict[str, object]:
    """Return what Meisa holds for a contact, without what is NULL there."""
    held = world.held_at_meisa(key)
    assert held is not None
    return {name: value for name, value in held.items() if value is not None}


def turns(world: World, count: int) -> list[list[str]]:
    """Return whom each of so many runs sent."""
    found = []
    for _ in range(count):
        world.bodies()
        world.sync()
        found.append(world.sent_keys())
    return found


# ---------------------------------------------------------------- both are there


def test_f44_the_leaver_must_be_accepted_not_just_sent(settled: World):
    """Rejected or unanswered, it still has the address at Meisa."""
    set_address(settled, 0, "new@example.com")
    set_address(settled, 1, ADDRESS)
    settled.meisa.answers.append("timeout_applied")
    assert turns(settled, 1) == [["1"]]
    assert codes(settled) == [("2", "email_waiting")]
    settled.meisa.answers.append(422)
    settled.clock.advance(60.0)
    assert turns(settled, 2) == [["1"], []]
    assert codes(settled) == [("2", "email_waiting")]
    settled.state.release()
    assert turns(settled, 3) == [["1"], ["2"], []]
    assert meisa_has(settled, "2")["email"] == ADDRESS


def test_f44_a_circle_of_three_is_held_back(settled: World):
    """Until one of them takes a way out, which lets the others follow."""
    for place, key in enumerate((2, 3, 1)):
        set_address(settled, place, f"{key}@example.com")
    for _ in range(2):
        assert codes(settled) == [(key, "email_cycle") for key in "123"]
        assert turns(settled, 1) == [[]]
    # A third address for one of them.
    set_address(settled, 0, "aside@example.com")
    assert turns(settled, 4) == [["1"], ["3"], ["2"], []]
    # Nobody keeps it from its own any more.
    set_address(settled, 0, "2@example.com")
    assert turns(settled, 2) == [["1"], []]
    addresses = {key: meisa_has(settled, key)["email"] for key in "123"}
    assert addresses == {"1": "2@example.com", "2": "3@example.com", "3": ADDRESS}


def test_f44_who_waits_for_a_circle_is_no_part_of_it(settled: World):
    """It follows once the circle is resolved."""
    settled.people(1, 2, 3, 4)
    settled.sync()
    settled.bodies()
    set_address(settled, 0, "2@example.com")
    set_address(settled, 1, ADDRESS)
    set_address(settled, 2, ADDRESS)
    set_address(settled, 3, "3@example.com")
    assert dict(codes(settled))["4"] == "email_waiting"
    assert turns(settled, 1) == [[]]


def test_f44_a_swap_in_two_passes_is_a_swap(settled: World):
    """The first wants an address that is not free yet; then the other makes it a circle."""
    set_address(settled, 0, "2@example.com")
    settled.admit()
    assert codes(settled) == [("1", "email_duplicate")]
    set_address(settled, 1, ADDRESS)
    assert codes(settled) == [("1", "email_cycle"), ("2", "email_cycle")]
    assert turns(settled, 2) == [[], []]


def test_f44_a_swap_that_is_taken_back_sends_nothing(settled: World):
    """All is as Meisa has it."""
    set_address(settled, 0, "2@example.com")
    set_address(settled, 1, ADDRESS)
    settled.sync()
    set_address(settled, 0, ADDRESS)
    set_address(settled, 1, "2@example.com")
    assert turns(settled, 1) == [[]]
    assert codes(settled) == []


# ---------------------------------------------------------------- one is gone


@pytest.mark.parametrize("earlier", [True, False], ids=["earlier pass", "same pass"])
@pytest.mark.parametrize("email", [ADDRESS, "1@EXAMPLE.com"])
@pytest.mark.parametrize("key", ["0", "4"], ids=["before", "after"])
def test_f44_the_heir_of_one_who_is_gone_is_sent_whole(
    settled: World, earlier: bool, email: str, key: str
):
    """Whenever it went, whoever is looked at first, however the address is spelled."""
    if earlier:
        without(settled, 1)
        settled.sync()
    without(settled, 1, (key, email, "New"))
    assert settled.sync().plan.summary.create == 1
    (body,) = settled.bodies()
    assert body["custom_fields"] == {"plan": None}
    assert (body["email"], body["first_name"]) == (email, "New")
    assert meisa_has(settled, key) == {"email": email, "first_name": "New"}
    gone = settled.state.contacts["1"]
    assert (dict(gone.ledger), gone.present, gone.rank) == ({}, False, None)
    assert turns(settled, 2) == [[], []]


def test_f44_an_heir_with_values_of_its_own_sends_those(settled: World):
    """NULL is for the rest."""
    settled.plans({4: "max", 2: "pro"})
    without(settled, 1, (4, ADDRESS, "New"))
    settled.sync()
    assert meisa_has(settled, "4") == {
        "email": ADDRESS,
        "first_name": "New",
        "custom_fields.plan": "max",
    }


def test_f44_fields_that_no_mapping_yields_any_more_are_emptied_too(settled: World):
    """They were the other one's."""
    del settled.mappings[PLAN]
    settled.sync()
    without(settled, 1, (4, ADDRESS, "New"))
    settled.sync()
    assert meisa_has(settled, "4") == {"email": ADDRESS, "first_name": "New"}
    assert turns(settled, 1) == [[]]


def test_f44_the_gone_one_returns_with_another_address(settled: World):
    """It is new to Meisa, and sent whole."""
    without(settled, 1, (4, ADDRESS, "New"))
    settled.sync()
    settled.bodies()
    without(settled, 1, (1, "back@example.com", "Name 1"))
    ran = settled.sync()
    assert ran.plan.summary.create == 1
    assert settled.sent_keys() == ["1"]
    assert meisa_has(settled, "1") == {
        "email": "back@example.com",
        "first_name": "Name 1",
        "custom_fields.plan": "pro",
    }
    assert meisa_has(settled, "4")["email"] == ADDRESS
    assert turns(settled, 1) == [[]]


def test_f44_the_gone_one_returns_with_the_same_address(settled: World):
    """It is somebody else's now; both keep what they have, until that one goes as well."""
    without(settled, 1, (4, ADDRESS, "New"))
    settled.sync()
    settled.bodies()
    without(settled, 1, (1, ADDRESS, "Name 1"))
    assert codes(settled) == [("1", "email_duplicate")]
    assert turns(settled, 2) == [[], []]
    assert meisa_has(settled, "4")["first_name"] == "New"
    without(settled, 4)
    settled.sync()
    assert meisa_has(settled, "1") == {
        "email": ADDRESS,
        "first_name": "Name 1",
        "custom_fields.plan": "pro",
    }
    assert turns(settled, 1) == [[]]


def test_f44_a_gone_one_that_nobody_inherited_from_keeps_its_ledger(settled: World):
    """Back again, only differences are sent."""
    without(settled, 1, (4, "4@example.com", "New"))
    settled.sync()
    settled.bodies()
    without(settled, 1, (1, ADDRESS, "Other name"))
    settled.sync()
    assert settled.bodies() == [{"external_id": "1", "email": ADDRESS, "first_name": "Other name"}]


def test_f44_while_the_newcomer_is_held_the_gone_one_keeps_its_ledger(settled: World):
    """Nothing changed hands yet."""
    settled.guard = GuardSettings(min_contacts=3, max_change=0.1, max_missing=1.0)
    settled.edit(IDENTITY)
    ledger = dict(settled.state.contacts["1"].ledger)
    newcomers = [(key, f"{key}@example.com", "New") for key in (5, 6, 7)]
    without(settled, 1, (4, ADDRESS, "New"), *newcomers)
    ran = settled.sync()
    assert [hold.mapping for hold in ran.held] == [IDENTITY]
    assert dict(settled.state.contacts["1"].ledger) == ledger
    assert settled.state.contacts["1"].in_doubt == frozenset()
    assert "4" not in settled.state.contacts
    assert turns(settled, 1) == [[]]
    settled.sync(approve=ran.plan.digest)
    assert settled.state.contacts["1"].ledger == {}
    assert meisa_has(settled, "4") == {"email": ADDRESS, "first_name": "New"}


def test_f44_while_the_newcomer_is_incomplete_the_gone_one_keeps_its_ledger(settled: World):
    """A mapping failed, so that nobody new is stored."""
    settled.source.failing = {PLAN}
    without(settled, 1, (4, ADDRESS, "New"))
    settled.sync()
    assert settled.state.contacts["1"].ledger != {}
    assert settled.state.contacts["1"].in_doubt == frozenset()
    assert settled.sent_keys() == []
    settled.source.failing = set()
    assert turns(settled, 2) == [["4"], []]
    assert settled.state.contacts["1"].ledger == {}


def test_f44_a_plan_takes_nothing_from_anybody(settled: World):
    """It only looks."""
    without(settled, 1, (4, ADDRESS, "New"))
    assert settled.plan().summary.create == 1
    assert settled.state.contacts["1"].ledger != {}


def test_f44_a_known_contact_that_takes_the_address_sends_all_of_both(settled: World):
    """Its own values again, and NULL for what only the other had; Meisa may refuse to merge."""
    without(settled, 1, (3, ADDRESS, "Name 3"))
    set_address(settled, 1, ADDRESS)
    settled.rows(IDENTITY).pop()
    assert settled.state.contacts["3"].ledger == {"email": "3@example.com", "first_name": "Name 3"}
    ran = settled.sync()
    assert (ran.requests, ran.rejected) == (1, 1)
    (body,) = settled.bodies()
    assert body == {
        "external_id": "3",
        "email": ADDRESS,
        "first_name": "Name 3",
        "custom_fields": {"plan": None},
    }
    assert settled.state.contacts["3"].inherits == {
        "email",
        "first_name",
        "custom_fields.plan",
    }
    # Somebody merged or removed the other one over there.
    settled.meisa.forget("1")
    settled.state.release()
    assert settled.sync().accepted == 1
    assert meisa_has(settled, "3") == {"email": ADDRESS, "first_name": "Name 3"}
    assert turns(settled, 1) == [[]]


def test_f44_the_next_heir_empties_what_an_unsent_one_inherited(settled: World):
    """Meisa still has all of the first."""
    without(settled, 1, (4, ADDRESS, None))
    settled.admit()
    without(settled, 4, (5, ADDRESS, None))
    settled.sync()
    assert settled.sent_keys() == ["5"]
    assert meisa_has(settled, "5") == {"email": ADDRESS}


def test_f44_the_first_owner_is_back_before_the_heir_was_sent(settled: World):
    """Meisa has its values still; it is sent whole all the same."""
    without(settled, 1, (4, ADDRESS, None))
    settled.admit()
    settled.people(1, 2, 3)
    settled.sync()
    assert settled.sent_keys() == ["1"]
    assert meisa_has(settled, "1") == {
        "email": ADDRESS,
        "first_name": "Name 1",
        "custom_fields.plan": "pro",
    }
    assert turns(settled, 1) == [[]]


def test_f44_an_heir_known_to_a_baseline_inherits_nothing(settled: World):
    """Whoever says that Meisa has it all answers for it; the address is the heir's."""
    without(settled, 1, (4, ADDRESS, "New"))
    baseline(settled.passes(), [IDENTITY, PLAN])
    assert settled.state.contacts["1"].ledger == {}
    assert settled.state.contacts["4"].inherits == frozenset()
    assert turns(settled, 1) == [[]]
    without(settled, 1, (1, ADDRESS, "Name 1"))
    assert codes(settled) == [("1", "email_duplicate")]


def test_f44_an_heir_that_moves_on_unsent_takes_nothing(settled: World):
    """The next one by that address finds all as the first one left it."""
    without(settled, 1, (4, ADDRESS, None))
    settled.admit()
    without(settled, 4, (4, "4@example.com", None), (5, ADDRESS, None))
    settled.sync()
    assert settled.sent_keys() == ["4", "5"]
    assert meisa_has(settled, "4") == {"email": "4@example.com"}
    assert meisa_has(settled, "5") == {"email": ADDRESS}
    assert settled.state.contacts["1"].ledger == {}


def test_f44_an_heir_that_meisa_refuses_takes_nothing(settled: World):
    """What the first one had stays on its ledger, in doubt."""
    without(settled, 1, (4, ADDRESS, None))
    settled.meisa.answers.append(422)
    settled.sync()
    gone = settled.state.contacts["1"]
    assert gone.in_doubt == gone.ledger.keys() == {"email", "first_name", "custom_fields.plan"}
    settled.people(1, 2, 3)
    assert turns(settled, 2) == [["1"], []]
    assert settled.state.contacts["1"].in_doubt == frozenset()


@pytest.mark.parametrize("step", ["settle.after", "complete.before"])
def test_f44_a_crash_while_the_address_is_taken_over(settled: World, step: str):
    """The heir is sent again, with all it has to empty."""
    without(settled, 1, (4, ADDRESS, None))
    settled.admit()
    die_at(settled, step)
    with pytest.raises(Died):
        drain(settled)
    settled.clock.advance(60.0)
    settled.sync()
    assert meisa_has(settled, "4") == {"email": ADDRESS}
    assert settled.state.contacts["1"].ledger == {}
    assert turns(settled, 1) == [[]]
