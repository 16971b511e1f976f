"""What a baseline takes as sent, and that the guard knows of it."""

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.sync.once import Limits
from meisa_cdc.sync.overrides import baseline, resync
from tests.unit.sync.worlds import IDENTITY, PLAN, USAGE, World, windows

CROWD = range(1, 151)
SEND = GuardSettings(first_load="send")


def test_a_baseline_takes_what_waits_in_the_backlog_as_sent():
    """Contacts that were admitted but not delivered are not sent afterwards."""
    world = World(guard=SEND)
    world.people(*CROWD)
    world.sync(limits=Limits(requests=10))
    done = baseline(world.passes(), world.mappings)
    assert (done.contacts, world.sync(limits=Limits()).requests) == (140, 0)


def test_a_baseline_of_one_mapping_leaves_the_backlog_of_the_others():
    """Only what was named counts as sent."""
    world = World(guard=SEND)
    world.people(1, 2)
    world.plans({1: "free", 2: "free"})
    world.sync(limits=Limits())
    world.plans({1: "pro", 2: "free"})
    world.rows(IDENTITY)[1] = (2, "2@example.com", "New name")
    world.admit()
    assert baseline(world.passes(), [PLAN]).fields == 1
    world.bodies()
    world.sync(limits=Limits())
    assert world.sent_keys() == ["2"]


def test_a_baseline_counts_what_stays_in_doubt():
    """Nobody knows what Meisa holds of it, so it is sent again in any case."""
    world = World(guard=SEND)
    world.people(1)
    world.sync(limits=Limits())
    resync(world.state, world.clock)
    done = baseline(world.passes(), world.mappings)
    assert (done.contacts, done.in_doubt) == (0, 2)
    assert world.sync().accepted == 1


def test_the_guard_is_on_after_a_baseline_with_a_failed_mapping():
    """What the baseline stored is known, whatever else could not be read."""
    world = World()
    world.people(*CROWD)
    world.plans(dict.fromkeys(CROWD, "free"))
    world.table(USAGE, "external_id posts", [(1, 1)])
    world.source.refused = {USAGE}
    assert baseline(world.passes(), world.mappings).failures
    world.plans(dict.fromkeys(CROWD, "pro"))
    assert [(hold.mapping, hold.reason) for hold in world.plan().holds] == [(PLAN, "max_change")]
    world.rows(IDENTITY).clear()
    assert (IDENTITY, "empty") in [(hold.mapping, hold.reason) for hold in world.plan().holds]


def test_what_an_approval_leaves_of_a_first_load_still_belongs_to_it():
    """Contacts that changed in between are not greeted as newcomers."""
    world = World()
    world.people(*CROWD)
    world.plans(dict.fromkeys(CROWD, "free"))
    world.admit()
    (hold,) = world.state.holds()
    world.plans({key: "pro" if key <= 40 else "free" for key in CROWD})
    world.state.approve(hold.digest, world.clock.now())
    world.admit()
    world.admit()
    world.sync(limits=Limits())
    assert {body["source"] for body in world.bodies()} == {"initial_sync"}
    assert len(world.meisa.contacts) == len(CROWD)


def test_a_large_rest_of_a_first_load_is_held_again():
    """The approval named other changes."""
    world = World()
    world.people(*CROWD)
    world.plans(dict.fromkeys(CROWD, "free"))
    world.admit()
    (hold,) = world.state.holds()
    world.plans({key: "pro" if key <= 120 else "free" for key in CROWD})
    world.state.approve(hold.digest, world.clock.now())
    world.admit()
    world.admit()
    (again,) = world.state.holds()
    assert (again.reason, again.contacts, again.approved_at) == ("first_load", 120, None)


def test_a_mapping_under_a_new_name_is_judged_by_the_fields_it_takes_over():
    """A renamed file is an edit like any other."""
    world = World(guard=SEND)
    world.people(*CROWD)
    world.plans(dict.fromkeys(CROWD, "free"))
    world.sync(limits=Limits())
    del world.mappings[PLAN]
    world.table("contacts/tier", "external_id plan", [(key, "oops") for key in CROWD])
    (hold,) = world.plan().holds
    assert (hold.mapping, hold.reason) == ("contacts/tier", "max_change")


def test_a_new_mapping_with_a_new_field_is_no_surprise():
    """Nothing was there before that it could change."""
    world = World(guard=SEND)
    world.people(*CROWD)
    world.sync(limits=Limits())
    world.table(USAGE, "external_id posts", [(key, 1) for key in CROWD])
    assert world.plan().holds == ()


def test_a_hold_that_arises_while_a_run_delivers_is_reported():
    """So is what could not be read any more."""
    world = World(guard=SEND, windows=windows("100/1s"))
    world.people(*CROWD)
    world.plans(dict.fromkeys(CROWD, "free"))
    world.sync(limits=Limits())
    world.plans({key: "pro" if key <= 20 else "free" for key in CROWD})

    def disaster(delivered: int) -> None:
        if delivered == 5:
            world.rows(PLAN).clear()
            world.source.refused = {IDENTITY}

    ran = world.run(every=0.02, progress=disaster).run()
    assert [(hold.mapping, hold.reason) for hold in ran.held] == [(PLAN, "empty")]
    assert any(IDENTITY in failure for failure in ran.failures)


def test_mappings_that_contradict_each_other_in_mid_run_end_no_delivery():
    """What was admitted is delivered, and the run has failed."""
    world = World(guard=SEND, windows=windows("100/1s"))
    world.people(*CROWD)

    def contradiction(delivered: int) -> None:
        if delivered == 5:
            world.table(PLAN, "external_id email", [(1, "other@example.com")])

    ran = world.run(every=0.02, progress=contradiction).run()
    assert (ran.accepted, len(ran.failures)) == (len(CROWD), 1)
