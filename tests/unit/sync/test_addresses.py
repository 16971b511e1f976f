"""Who may use an e-mail address, in one pass and from pass to pass."""

import pytest

from tests.unit.sync.worlds import IDENTITY, World


def set_address(world: World, place: int, email: str | None) -> None:
    """Change the address in one row of identity."""
    key, _, name = world.rows(IDENTITY)[place]
    world.rows(IDENTITY)[place] = (key, email, name)


def codes(world: World) -> list[tuple[str | None, str]]:
    """Return who cannot be sent, and why."""
    with world.look() as look:
        return [(each.external_id, each.code) for each in look.invalid()]


@pytest.mark.parametrize("email", ["2@example.com", "2@EXAMPLE.com", " 2@example.com "])
def test_f43_newcomers_that_share_an_address_are_all_refused(world: World, email: str):
    """Any choice could mix up two people; the third one goes out."""
    world.people(1, 2, rows=[(3, email, "Name 3")])
    assert codes(world) == [("2", "email_duplicate"), ("3", "email_duplicate")]
    ran = world.sync()
    assert world.sent_keys() == ["1"]
    assert (ran.plan.summary.create, ran.plan.summary.invalid) == (1, 2)


@pytest.mark.parametrize("email", ["1@example.com", "1@Example.COM"])
def test_f43_the_one_whose_ledger_holds_the_address_goes_on(world: World, email: str):
    """The newcomer is refused, and told who has it."""
    world.sync()
    world.bodies()
    world.people(1, 2, 3, rows=[(4, email, "Name 4")])
    world.plans({1: "pro", 2: "pro"})
    with world.look() as look:
        (found,) = look.invalid()
    assert (found.external_id, found.code) == ("4", "email_duplicate")
    assert "belongs to 1 at Meisa" in found.message
    world.sync()
    assert world.sent_keys() == ["1"]


def test_f43_a_known_contact_that_takes_a_held_address_is_refused(world: World):
    """Its other changes wait with it."""
    world.sync()
    world.bodies()
    set_address(world, 1, "1@example.com")
    world.plans({1: "free", 2: "max"})
    assert codes(world) == [("2", "email_duplicate")]
    world.sync()
    assert world.bodies() == []
    set_address(world, 1, "2@example.com")
    world.sync()
    assert [body["custom_fields"] for body in world.bodies()] == [{"plan": "max"}]


def test_f43_one_that_waits_to_be_sent_is_refused_when_another_comes(world: World):
    """Nobody holds the address yet; it was not read anew, and is looked at all the same."""
    world.admit()
    world.people(1, 2, 3, rows=[(4, "1@example.com", "Name 4")])
    ran = world.sync()
    assert world.sent_keys() == ["2", "3"]
    assert ran.plan.summary.invalid == 2
    assert world.state.contacts["1"].invalid == "email_duplicate"


@pytest.mark.parametrize("whole", [True, False])
def test_f43_it_is_sent_once_the_other_has_left(world: World, whole: bool):
    """What was pending for it is still there."""
    world.admit()
    world.people(1, 2, 3, rows=[(4, "1@example.com", "Name 4")])
    world.sync()
    world.bodies()
    world.people(1, 2, 3)
    world.admit(whole=whole)
    world.push().step()
    assert world.bodies() == [
        {
            "external_id": "1",
            "email": "1@example.com",
            "first_name": "Name 1",
            "source": "initial_sync",
            "custom_fields": {"plan": "free"},
        }
    ]


def test_f43_a_change_of_address_that_waits_is_refused_when_another_comes(world: World):
    """Neither holds the address they both want."""
    world.sync()
    world.bodies()
    set_address(world, 0, "new@example.com")
    world.admit()
    world.people(2, 3, rows=[(1, "new@example.com", "Name 1"), (4, "NEW@example.com", "Name 4")])
    world.sync()
    assert world.bodies() == []
    assert codes(world) == [("1", "email_duplicate"), ("4", "email_duplicate")]


def test_f43_an_address_in_flight_goes_to_the_one_that_was_sent(world: World):
    """Until the answer both are refused; then its ledger decides."""
    world.admit()
    push = world.push()
    push.step()
    world.people(1, 2, 3, rows=[(4, "1@example.com", "Name 4")])
    world.admit()
    assert world.state.contacts["1"].invalid == "email_duplicate"
    push.step(most=0)
    assert codes(world) == [("4", "email_duplicate")]
    assert world.state.contacts["1"].ledger["email"] == "1@example.com"


def test_f43_without_identity_the_stored_addresses_count(world: World):
    """A pass over other mappings neither refuses nor releases anybody."""
    world.admit()
    world.people(1, 2, 3, rows=[(4, "1@example.com", "Name 4")])
    world.admit()
    world.plans({1: "pro", 2: "max"})
    world.source.failing = {IDENTITY}
    ran = world.sync()
    assert world.sent_keys() == ["2", "3"]
    assert ran.plan.summary.invalid == 1


def test_f44_a_changed_address_is_sent_by_external_id(world: World):
    """Meisa re-keys it."""
    world.sync()
    world.bodies()
    set_address(world, 0, "new@example.com")
    world.sync()
    assert world.bodies() == [{"external_id": "1", "email": "new@example.com"}]
    held = world.held_at_meisa("1")
    assert held is not None
    assert held["email"] == "new@example.com"


def test_f44_another_spelling_of_the_same_address_is_a_change_for_nobody_else(world: World):
    """It is this contact's own."""
    world.sync()
    world.bodies()
    set_address(world, 0, "1@EXAMPLE.com")
    world.sync()
    assert world.bodies() == [{"external_id": "1", "email": "1@EXAMPLE.com"}]


def test_f44_who_takes_an_address_waits_until_the_leaver_was_accepted(world: World):
    """The leaver goes first."""
    world.sync()
    world.bodies()
    set_address(world, 0, "new@example.com")
    set_address(world, 1, "1@example.com")
    assert codes(world) == [("2", "email_waiting")]
    world.sync()
    assert world.sent_keys() == ["1"]
    assert codes(world) == []
    world.sync()
    assert world.sent_keys() == ["2"]


def test_f44_a_row_of_takers_moves_up_one_by_one(world: World):
    """Each run frees the address that the next one wants."""
    world.sync()
    world.bodies()
    set_address(world, 0, "new@example.com")
    set_address(world, 1, "1@example.com")
    set_address(world, 2, "2@example.com")
    turns = []
    for _ in range(4):
        world.sync()
        turns.append(world.sent_keys())
    assert turns == [["1"], ["2"], ["3"], []]


def test_f44_a_swap_cannot_be_made_safe(world: World):
    """Both are held back, however often it is tried."""
    world.sync()
    world.bodies()
    set_address(world, 0, "2@example.com")
    set_address(world, 1, "1@example.com")
    for _ in range(3):
        assert codes(world) == [("1", "email_cycle"), ("2", "email_cycle")]
        world.sync()
    assert world.bodies() == []
    assert {c.email for c in world.meisa.contacts.values()} == {
        "1@example.com",
        "2@example.com",
        "3@example.com",
    }


def test_f44_the_address_of_a_vanished_contact_is_taken_over_whole(world: World):
    """Meisa merges by address, so the newcomer empties what the one that is gone left there."""
    world.plans({1: "pro"})
    world.sync()
    world.bodies()
    world.people(2, 3, rows=[(4, "1@example.com", None)])
    assert codes(world) == []
    world.sync()
    (body,) = world.bodies()
    assert body == {
        "email": "1@example.com",
        "external_id": "4",
        "first_name": None,
        "source": "api",
        "custom_fields": {"plan": None},
    }
    assert world.state.contacts["1"].ledger == {}
    assert world.state.contacts["4"].inherits == frozenset()
    assert world.sync().requests == 0


def test_f44_the_address_of_somebody_never_sent_is_free_once_they_are_gone(world: World):
    """Meisa knows nothing of them."""
    world.admit()
    world.people(2, 3, rows=[(4, "1@example.com", "Name 4")])
    ran = world.sync()
    assert world.sent_keys() == ["4", "2", "3"]
    assert ran.plan.summary.invalid == 0
