"""Captures by a log of changed rows: what is read, when the log is cut off, when all is read."""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.sync.capture import FULL_EVERY
from meisa_cdc.sync.captured import MOST_AGAIN
from meisa_cdc.sync.overrides import baseline
from meisa_cdc.sync.rows import MOST_RESTRICTED
from tests.unit.sync.worlds import IDENTITY, PLAN, Log, World, windows

MANY = range(1, 31)
FOLLOWED = {IDENTITY, PLAN}


def log_of(world: World) -> Log:
    """Return what the app database keeps of changed rows."""
    assert world.source.log is not None
    return world.source.log


def put(world: World, name: str, key: int, *row: object) -> None:
    """Put a row in place of the one that a key has, or beside the others; the log tells of it."""
    rows = world.rows(name)
    rows[:] = [each for each in rows if each[0] != key]
    rows.append((key, *row))
    log_of(world).entries.append((name, str(key)))


def remove(world: World, name: str, key: int) -> None:
    """Delete a row; the log tells of that, too."""
    rows = world.rows(name)
    rows[:] = [each for each in rows if each[0] != key]
    log_of(world).entries.append((name, str(key)))


def reads(world: World) -> Sequence[tuple[str, Sequence[str] | None]]:
    """Return what was read since the last call; nothing stands for nobody's rows."""
    found = [(name, keys) for name, keys in world.source.reads if keys != []]
    world.source.reads.clear()
    return found


def in_step(count: int = 30, *, min_contacts: int = 100) -> World:
    """Return so many people with plans, taken as sent."""
    guard = GuardSettings(first_load="send", min_contacts=min_contacts)
    world = World(guard=guard, windows=windows("1000000/1s"))
    world.source.batch = 1000
    world.source.log = Log(follows=set(FOLLOWED))
    many = range(1, count + 1)
    world.people(*many)
    world.plans(dict.fromkeys(many, "free"))
    baseline(world.passes(), list(world.mappings))
    world.source.reads.clear()
    return world


@pytest.fixture
def world() -> World:
    """Return thirty people with plans, in step with Meisa."""
    world = in_step(min_contacts=10)
    for contact in MANY:
        world.meisa.upsert({"external_id": str(contact), "email": f"{contact}@example.com"})
    world.bodies()
    return world


def test_nothing_is_read_where_nothing_changed(world: World):
    """The log is asked, and that is all."""
    ran = world.sync()
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 30)
    assert reads(world) == []


def test_only_contacts_that_changed_are_read(world: World):
    """What somebody's row was changed to and back is no change."""
    put(world, PLAN, 7, "pro")
    put(world, PLAN, 9, "free")
    world.sync()
    assert world.sent_keys() == ["7"]
    assert reads(world) == [(PLAN, ["7", "9"])]
    assert log_of(world).entries == []
    assert world.sync().requests == 0
    assert reads(world) == []


def test_a_row_that_vanished_is_seen_at_once(world: World):
    """Somebody's plan, and somebody."""
    remove(world, PLAN, 7)
    remove(world, IDENTITY, 8)
    ran = world.sync()
    (body,) = world.bodies()
    assert (body["external_id"], body["custom_fields"]) == ("7", {"plan": None})
    assert (ran.plan.summary.removed, ran.plan.summary.unchanged) == (1, 28)
    assert reads(world) == [(IDENTITY, ["8"]), (PLAN, ["7"])]


def test_a_new_contact_arrives_whole(world: World):
    """Its rows elsewhere may have been there for long."""
    put(world, PLAN, 99, "team")
    world.sync()
    reads(world)
    put(world, IDENTITY, 99, "99@example.com", "New")
    world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "team"}
    assert reads(world) == [(IDENTITY, ["99"]), (PLAN, ["99"])]


def test_a_dry_run_leaves_the_log_alone(world: World):
    """What it told is still to be sent."""
    put(world, PLAN, 7, "pro")
    assert world.plan().summary.update == 1
    assert log_of(world).entries == [(PLAN, "7")]
    world.sync()
    assert world.sent_keys() == ["7"]


def test_what_was_held_is_looked_at_again(world: World):
    """Though the log does not tell of it any more."""
    for key in range(1, 16):
        put(world, PLAN, key, "pro")
    assert [hold.reason for hold in world.sync().plan.holds] == ["max_change"]
    assert log_of(world).entries == []
    ran = world.sync()
    assert [hold.contacts for hold in ran.plan.holds] == [15]
    world.sync(approve=ran.plan.digest)
    assert len(world.bodies()) == 15
    reads(world)
    assert world.sync().requests == 0
    assert reads(world) == []


def test_what_cannot_be_used_is_judged_every_time(world: World):
    """A bad row is told of as long as it is there."""
    put(world, PLAN, 7, float("nan"))
    for _ in range(3):
        with world.look() as look:
            assert [each.code for each in look.invalid()] == ["not_a_number"]
        world.sync()
    put(world, PLAN, 7, "pro")
    world.sync()
    assert world.sent_keys() == ["7"]


@pytest.mark.parametrize("what", ["file", "zone", "day", "other log", "cut off", "overflown"])
def test_everything_is_read_where_the_log_says_too_little(world: World, what: str):
    """An edit, another zone, the daily scan, another log, one that begins too late, too much."""
    passes, log = world.passes(), log_of(world)
    world.rows(PLAN)[0] = (1, "pro")
    if what == "file":
        world.edit(PLAN)
        passes = world.passes()
    elif what == "zone":
        passes = replace(passes, zone=ZoneInfo("Europe/Berlin"))
    elif what == "day":
        world.clock.advance(FULL_EVERY)
    elif what == "other log":
        log.identity = "restored from a backup"
    elif what == "cut off":
        log.start += 1
    else:
        log.overflown = True
    with passes.look(world.mappings, whole=False) as look:
        passes.admit(look, replace_holds=False)
        assert look.plan.summary.update == 1
    assert (PLAN, None) in reads(world)
    log.overflown = False
    put(world, PLAN, 7, "pro")
    with passes.look(world.mappings, whole=False) as look:
        assert look.plan.summary.update == 1
    assert reads(world) == [(PLAN, ["7"])]


def test_everything_is_read_where_most_of_it_changed():
    """By key that would take longer."""
    for count in (5, MOST_RESTRICTED + 1):
        world = in_step(count)
        for key in range(1, count + 1):
            log_of(world).entries.append((PLAN, str(key)))
        with world.look([PLAN], whole=False):
            pass
        ((_, keys),) = reads(world)
        assert (keys is None) == (count > MOST_RESTRICTED)


class Crash(Exception):
    """The process is gone."""


@pytest.mark.parametrize("step", ["settle.before", "settle.after"])
def test_the_log_is_cut_off_once_all_is_stored(world: World, step: str):
    """Whoever dies before is told the same again."""

    def crash(reached: str) -> None:
        if reached == step:
            raise Crash

    put(world, PLAN, 7, "pro")
    world.state.on_step = crash
    with pytest.raises(Crash):
        world.admit()
    world.state.on_step = lambda _: None
    assert log_of(world).entries == [(PLAN, "7")]
    world.sync()
    assert world.sent_keys() == ["7"]


def test_a_log_that_cannot_be_cut_off_tells_it_once_more(world: World):
    """What is stored is stored, and the pass has not failed."""
    passes = world.passes()
    put(world, PLAN, 7, "pro")
    with passes.look(world.mappings, whole=False) as look:
        world.source.down = True
        passes.admit(look, replace_holds=False)
    world.source.down = False
    assert log_of(world).entries == [(PLAN, "7")]
    put(world, PLAN, 8, "pro")
    reads_before = reads(world)
    world.sync()
    assert (world.sent_keys(), reads_before) == (["7", "8"], [(PLAN, ["7"])])
    assert reads(world) == [(PLAN, ["7", "8"])]
    assert log_of(world).entries == []


def test_a_mapping_that_failed_is_read_whole_afterwards(world: World):
    """The log was cut off for the sake of the others."""
    put(world, IDENTITY, 8, "8@example.com", "Renamed")
    put(world, PLAN, 7, "pro")
    world.source.failing.add(PLAN)
    assert world.sync().plan.failures
    assert (world.sent_keys(), log_of(world).entries) == (["8"], [])
    world.source.failing.clear()
    reads(world)
    world.sync()
    assert world.sent_keys() == ["7"]
    assert (PLAN, None) in reads(world)


def test_where_nobody_finds_whom_changes_affect_every_row_is_read(world: World):
    """The mapping is not given up for that."""
    world.rows(PLAN)[0] = (1, "pro")
    log_of(world).entries.append((PLAN, "1"))
    log_of(world).failing = {PLAN}
    reads(world)
    assert not world.sync().plan.failures
    assert world.sent_keys() == ["1"]
    assert (PLAN, None) in reads(world)


def test_what_is_not_due_is_remembered_until_it_is(world: World):
    """The log is cut off all the same, and asks for it no more."""
    put(world, PLAN, 7, "pro")
    world.sync(due=[IDENTITY])
    put(world, PLAN, 8, "pro")
    world.sync(due=[IDENTITY])
    assert (log_of(world).entries, world.bodies(), reads(world)) == ([], [], [])
    put(world, PLAN, 9, "pro")
    world.sync(due=[PLAN])
    assert sorted(world.sent_keys()) == ["7", "8", "9"]
    assert reads(world) == [(PLAN, ["7", "8", "9"])]
    world.sync(due=[PLAN])
    assert reads(world) == []


@pytest.mark.parametrize("how", ["overflown", "failing", "too many"])
def test_what_cannot_be_remembered_has_everything_read(world: World, how: str):
    """Once it is due; the other mappings know nothing of it."""
    log = log_of(world)
    world.rows(PLAN)[0] = (1, "pro")
    log.entries.append((PLAN, "1"))
    log.overflown = how == "overflown"
    log.failing = {PLAN} if how == "failing" else set()
    if how == "too many":
        log.entries += [(PLAN, str(key)) for key in range(MOST_AGAIN + 1)]
    assert not world.sync(due=[IDENTITY]).plan.failures
    log.overflown, log.failing = False, set()
    assert log.entries == []
    reads(world)
    world.sync()
    assert world.sent_keys() == ["1"]
    assert (PLAN, None) in reads(world)


def test_the_log_wakes_what_has_no_pace_of_its_own(world: World):
    """Who says how often a mapping is read means it."""
    assert world.passes().woken() == FOLLOWED
    world.edit(PLAN, every=3600.0)
    assert world.passes().woken() == {IDENTITY}
    world.edit(IDENTITY, cron="0 0 * * *")
    assert world.passes().woken() == frozenset()


def test_without_the_log_every_row_is_read(world: World):
    """And again, once there is one; by then it says nothing of the time in between."""
    put(world, PLAN, 7, "pro")
    log = log_of(world)
    world.source.log = None
    world.sync()
    assert world.sent_keys() == ["7"]
    assert (PLAN, None) in reads(world)
    world.rows(PLAN)[0] = (1, "team")
    world.source.log = replace(log, entries=[], start=log.start + 9)
    world.sync()
    assert world.sent_keys() == ["1"]


def test_old_checksums_mean_nothing_after_a_log(world: World):
    """A row that changed there and back in between adds up to what it was."""
    log = log_of(world)
    world.source.engine, world.source.log = "sums", None
    world.sync()
    world.source.log = replace(log, start=9)
    world.sync()
    put(world, PLAN, 7, "pro")
    world.sync()
    world.source.log = None
    world.rows(PLAN)[:] = [(key, "free") for key, _ in world.rows(PLAN)]
    world.sync()
    plans = [body["custom_fields"]["plan"] for body in world.bodies()]
    assert plans == ["pro", "free"]


def test_a_log_that_tells_nothing_has_every_row_read(world: World):
    """And wakes nobody; status says why. What was looked at before is still good afterwards."""
    log = log_of(world)
    put(world, PLAN, 7, "pro")
    log.silence = "somebody is reading it"
    world.sync()
    assert world.sent_keys() == ["7"]
    assert (PLAN, None) in reads(world)
    assert world.state.note("captures")[PLAN] == [
        "scan",
        "every row is read, since somebody is reading it",
    ]
    assert world.passes().woken() == frozenset()
    log.silence = ""
    world.sync()
    assert reads(world) == [(PLAN, ["7"])]
    assert world.passes().woken() == FOLLOWED


def test_a_mapping_that_fails_or_is_read_whole_is_not_woken(world: World):
    """It would be read in full each time that anything changes."""
    assert world.passes().woken() == FOLLOWED
    world.source.failing.add(PLAN)
    put(world, PLAN, 7, "pro")
    world.sync()
    assert world.passes().woken() == {IDENTITY}
    world.source.failing.clear()
    world.sync()
    assert world.passes().woken() == FOLLOWED
    for key in range(MOST_AGAIN + 1):
        log_of(world).entries.append((PLAN, f"nobody {key}"))
    world.sync(due=[IDENTITY])
    assert world.passes().woken() == {IDENTITY}
