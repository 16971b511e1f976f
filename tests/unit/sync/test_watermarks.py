"""Captures by a time in the rows: what is read, what is looked at again, what takes a full read."""

from collections.abc import Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from meisa_cdc.core.durations import iso
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.watermark import OVERLAP
from meisa_cdc.records import Settled
from meisa_cdc.sync.capture import FULL_EVERY
from meisa_cdc.sync.captured import MOST_AGAIN
from meisa_cdc.sync.overrides import baseline
from meisa_cdc.sync.rows import MOST_RESTRICTED
from tests.unit.sync.worlds import IDENTITY, PLAN, World, windows

MANY = range(1, 31)
#: The time between two passes.
PAUSE = OVERLAP * 2


def wall(world: World, ago: float = 0.0) -> str:
    """Return the time so many seconds ago as a column has it."""
    return iso(world.clock.now() - ago).replace("T", " ").rstrip("Z")


def touch(world: World, name: str, key: int, *row: object, ago: float = 0.0) -> None:
    """Put a row in place of the one that a key has, or beside the others, and date it."""
    rows = world.rows(name)
    rows[:] = [each for each in rows if each[0] != key]
    rows.append((key, *row))
    dates = world.source.tables[name].changed
    assert dates is not None
    dates[str(key)] = wall(world, ago)


def reads(world: World) -> Sequence[tuple[str, Sequence[str] | None]]:
    """Return what was read since the last call; nothing stands for nobody's rows."""
    found = [(name, keys) for name, keys in world.source.reads if keys != []]
    world.source.reads.clear()
    return found


def later(world: World) -> None:
    """Let so much time pass, with a pass in between, that no date is near the watermark."""
    world.clock.advance(PAUSE)
    world.sync()
    world.clock.advance(PAUSE)
    reads(world)


def invalid(world: World) -> list[tuple[str | None, str]]:
    """Return what cannot be used: contact and code."""
    with world.look() as look:
        return [(each.external_id, each.code) for each in look.invalid()]


@pytest.fixture
def world() -> World:
    """Return thirty people with plans that are dated, in step with Meisa some time ago."""
    world = World(
        guard=GuardSettings(first_load="send", min_contacts=10), windows=windows("1000000/1s")
    )
    world.people(*MANY)
    world.plans(dict.fromkeys(MANY, "free"))
    for name in (IDENTITY, PLAN):
        world.source.tables[name].changed = dict.fromkeys(map(str, MANY), "2020-01-01 00:00:00")
    world.sync()
    world.bodies()
    world.clock.advance(PAUSE)
    world.source.reads.clear()
    return world


def test_nothing_is_read_where_nothing_changed(world: World):
    """The question for the keys is all."""
    ran = world.sync()
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 30)
    assert reads(world) == []


def test_only_rows_that_changed_are_read(world: World):
    """By key, whole."""
    touch(world, PLAN, 7, "pro")
    touch(world, PLAN, 9, "free")
    world.sync()
    assert world.sent_keys() == ["7"]
    assert reads(world) == [(PLAN, ["7", "9"])]
    later(world)
    assert world.sync().requests == 0
    assert reads(world) == []


def test_what_was_committed_late_is_seen(world: World):
    """A transaction may write a time, and be visible only after the next pass."""
    world.sync()
    late = wall(world, OVERLAP / 2)
    world.clock.advance(10)
    touch(world, PLAN, 7, "pro")
    dates = world.source.tables[PLAN].changed
    assert dates is not None
    dates["7"] = late
    world.sync()
    assert world.sent_keys() == ["7"]


def test_a_row_that_vanished_is_missed_until_everything_is_read(world: World):
    """No row says so; the scheduled full read does."""
    world.rows(PLAN)[:] = [row for row in world.rows(PLAN) if row[0] != 7]
    assert world.sync().requests == 0
    world.clock.advance(FULL_EVERY)
    world.sync()
    (body,) = world.bodies()
    assert (body["external_id"], body["custom_fields"]) == ("7", {"plan": None})
    assert (PLAN, None) in reads(world)
    world.clock.advance(PAUSE)
    world.sync()
    assert reads(world) == []


def test_a_new_contact_arrives_whole(world: World):
    """Its rows elsewhere may be older than the watermark."""
    touch(world, PLAN, 99, "team", ago=PAUSE * 10)
    world.sync()
    reads(world)
    touch(world, IDENTITY, 99, "99@example.com", "New")
    world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "team"}
    assert reads(world) == [(IDENTITY, ["99"]), (PLAN, ["99"])]


def test_who_left_and_came_back_is_noticed(world: World):
    """Somebody is gone once everything was read; back with a date, at once."""
    world.rows(IDENTITY)[:] = [row for row in world.rows(IDENTITY) if row[0] != 3]
    world.clock.advance(FULL_EVERY)
    assert world.sync().plan.summary.removed == 1
    world.clock.advance(PAUSE)
    touch(world, PLAN, 3, "team", ago=PAUSE * 10)
    touch(world, IDENTITY, 3, "3@example.com", "Back")
    world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "team"}


def test_what_was_held_is_looked_at_again(world: World):
    """However long ago it changed, until somebody approves it."""
    for key in range(1, 16):
        touch(world, PLAN, key, "pro")
    ran = world.sync()
    assert [hold.reason for hold in ran.plan.holds] == ["max_change"]
    world.clock.advance(PAUSE)
    ran = world.sync()
    assert [hold.contacts for hold in ran.plan.holds] == [15]
    assert world.bodies() == []
    world.clock.advance(PAUSE)
    world.sync(approve=ran.plan.digest)
    assert len(world.bodies()) == 15
    later(world)
    assert world.sync().requests == 0
    assert reads(world) == []


def test_what_was_held_and_vanished_is_seen_to_be_gone(world: World):
    """Though nothing dates its end."""
    for key in range(1, 16):
        touch(world, PLAN, key, "pro")
    world.sync()
    later(world)
    world.rows(PLAN)[:] = [row for row in world.rows(PLAN) if row[0] != 3]
    world.sync(approve=world.plan().digest)
    plans = {body["external_id"]: body["custom_fields"]["plan"] for body in world.bodies()}
    assert plans == {str(key): None if key == 3 else "pro" for key in range(1, 16)}


def test_what_cannot_be_used_is_judged_every_time(world: World):
    """A bad row is told of as long as it is there."""
    touch(world, PLAN, 7, float("nan"))
    for _ in range(3):
        assert invalid(world) == [("7", "not_a_number")]
        world.sync()
        world.clock.advance(PAUSE)
    world.rows(PLAN)[:] = [row for row in world.rows(PLAN) if row[0] != 7]
    world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": None}


def test_two_rows_of_a_key_are_told_of(world: World):
    """As soon as one of them is dated."""
    touch(world, PLAN, 7, "pro")
    world.rows(PLAN).append((7, "team"))
    for _ in range(3):
        assert invalid(world) == [("7", "key_duplicate")]
        world.sync()
        world.clock.advance(PAUSE)


@pytest.mark.parametrize("what", ["file", "zone", "day", "clock"])
def test_everything_is_read_where_the_watermark_says_too_little(world: World, what: str):
    """An edit, another zone, the daily scan, a clock set back."""
    passes = world.passes()
    if what == "file":
        world.edit(PLAN)
        passes = world.passes()
    elif what == "zone":
        passes = replace(passes, zone=ZoneInfo("Europe/Berlin"))
    else:
        world.clock.advance(FULL_EVERY if what == "day" else -2 * PAUSE)
    with passes.look(world.mappings, whole=False) as look:
        passes.admit(look, replace_holds=False)
    assert (PLAN, None) in reads(world)


def test_a_watermark_from_the_future_is_none(world: World):
    """Rows may have changed before that time since the clock was set back."""
    world.clock.advance(3600)
    world.sync()
    world.clock.advance(-3600)
    world.clock.advance(300)
    touch(world, PLAN, 7, "pro")
    world.clock.advance(900)
    world.sync()
    assert world.sent_keys() == ["7"]


def crowd(count: int) -> World:
    """Return so many people with plans that are dated, taken as sent some time ago."""
    world = World(guard=GuardSettings(first_load="send", max_change=0.3))
    world.source.batch = count
    many = range(1, count + 1)
    world.people(*many)
    world.plans(dict.fromkeys(many, "free"))
    for name in (IDENTITY, PLAN):
        world.source.tables[name].changed = dict.fromkeys(map(str, many), "2020-01-01 00:00:00")
    baseline(world.passes(), list(world.mappings))
    world.clock.advance(PAUSE)
    world.source.reads.clear()
    return world


def upgrade(world: World, plan: str = "pro") -> None:
    """Put everybody on a plan, now."""
    table = world.source.tables[PLAN]
    table.rows[:] = [(key, plan) for key, _ in table.rows]
    table.changed = {str(key): wall(world) for key, _ in table.rows}


def test_everything_is_read_where_most_of_it_changed():
    """By key that would take longer."""
    few, many = crowd(5), crowd(MOST_RESTRICTED + 1)
    for world in (few, many):
        # That a row is dated is enough to have it read.
        upgrade(world, "free")
        with world.look([PLAN], whole=False):
            pass
    assert reads(few) == [(PLAN, ["1", "2", "3", "4", "5"])]
    assert reads(many) == [(PLAN, None)]


@pytest.mark.parametrize("beyond", [0, 1])
def test_everything_is_read_where_too_much_was_held(beyond: int):
    """There is no list of it that has no end."""
    world = crowd(MOST_AGAIN + beyond)
    upgrade(world)
    world.admit()
    world.clock.advance(PAUSE * 2)
    reads(world)
    with world.look() as look:
        assert [hold.contacts for hold in look.plan.holds] == [MOST_AGAIN + beyond]
    ((name, keys),) = reads(world)
    assert name == PLAN
    assert (keys is None) == bool(beyond)


class Crash(Exception):
    """The process is gone."""


@pytest.mark.parametrize("step", ["settle.before", "settle.after"])
def test_the_watermark_moves_once_all_is_stored(world: World, step: str):
    """Whoever dies before has the rows looked at again."""

    def crash(reached: str) -> None:
        if reached == step:
            raise Crash

    touch(world, PLAN, 7, "pro", ago=PAUSE - OVERLAP / 2)
    world.state.on_step = crash
    with pytest.raises(Crash):
        world.admit()
    world.state.on_step = lambda _: None
    world.clock.advance(PAUSE)
    world.sync()
    assert world.sent_keys() == ["7"]


def test_a_dry_run_moves_nothing(world: World):
    """What it saw is still to be sent."""
    touch(world, PLAN, 7, "pro")
    assert world.plan().summary.update == 1
    world.clock.advance(PAUSE)
    world.sync()
    assert world.sent_keys() == ["7"]


def test_who_lacks_an_observation_is_read(world: World):
    """Whatever the reason that nothing is on record of a contact."""
    contact = world.state.contacts["7"]
    world.state.settle(["7"], lambda *_: Settled(contact=contact, observed={PLAN: None}), now=1.0)
    world.rows(PLAN)[6] = (7, "pro")
    world.sync()
    assert world.sent_keys() == ["7"]


def test_a_baseline_moves_the_watermark(world: World):
    """What was taken as sent is not looked at again."""
    touch(world, PLAN, 7, "pro")
    baseline(world.passes(), list(world.mappings))
    later(world)
    assert world.sync().requests == 0
    assert reads(world) == []


def test_a_mapping_that_failed_keeps_its_watermark(world: World):
    """The others go on."""
    touch(world, PLAN, 7, "pro")
    world.source.failing.add(PLAN)
    assert world.sync().plan.failures
    world.source.failing.clear()
    world.clock.advance(PAUSE)
    world.sync()
    assert world.sent_keys() == ["7"]
