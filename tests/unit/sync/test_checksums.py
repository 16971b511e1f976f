"""Captures of a database that adds up its rows: what is read, and what never goes unseen."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import FieldSettings
from meisa_cdc.records import Settled
from meisa_cdc.sync import rows
from meisa_cdc.sync.capture import FULL_EVERY, capture
from meisa_cdc.sync.overrides import baseline
from meisa_cdc.testing import MemorySpool
from tests.unit.sync.worlds import IDENTITY, PLAN, USAGE, World, windows

MANY = range(1, 61)


@pytest.fixture
def world() -> World:
    """Return sixty people, every other with a plan, in step with Meisa."""
    world = World(
        guard=GuardSettings(first_load="send", min_contacts=10), windows=windows("1000000/1s")
    )
    world.source.engine = "sums"
    world.people(*MANY)
    world.plans({key: "free" for key in MANY if key % 2})
    world.sync()
    world.bodies()
    world.source.yielded.clear()
    return world


def changes(world: World, name: str, key: int, *row: object) -> None:
    """Put a row in place of the one that a key has."""
    rows = world.rows(name)
    rows[[each[0] for each in rows].index(key)] = (key, *row)


def vanishes(world: World, name: str, key: int) -> None:
    """Remove the row of a key."""
    world.rows(name)[:] = [row for row in world.rows(name) if row[0] != key]


def plan_at_meisa(world: World, key: str) -> object:
    """Return the plan that Meisa holds for a contact."""
    held = world.held_at_meisa(key)
    assert held is not None
    return held["custom_fields.plan"]


def whole(world: World, name: str) -> bool:
    """Tell whether every row of a mapping was handed over since the last question."""
    read = world.source.yielded.pop(name, 0)
    return read >= len(world.rows(name))


def test_nothing_is_read_where_nothing_changed(world: World):
    """The sums alone tell."""
    ran = world.sync()
    assert (ran.requests, ran.plan.summary.unchanged) == (0, 60)
    assert not world.source.yielded


def test_only_buckets_that_changed_are_read(world: World):
    """A row that differs, one that is gone, one that is new."""
    changes(world, PLAN, 7, "pro")
    vanishes(world, PLAN, 9)
    world.rows(PLAN).append((8, "trial"))
    world.sync()
    assert world.sent_keys() == ["7", "8", "9"]
    assert 0 < world.source.yielded[PLAN] < 15
    assert world.source.yielded[IDENTITY] == 0
    assert plan_at_meisa(world, "9") is None
    world.source.yielded.clear()
    assert world.sync().requests == 0
    assert not world.source.yielded


def test_finer_sums_are_asked_for_where_coarse_ones_differ(world: World):
    """Enough people for more than the fewest buckets."""
    world.people(*range(1, 601))
    # Read in full twice: the number of buckets is that of the people who were known before.
    for _ in range(2):
        world.clock.advance(FULL_EVERY)
        world.sync()
    world.bodies()
    world.source.yielded.clear()
    world.source.summed.clear()
    assert world.sync().requests == 0
    assert world.source.summed == [(IDENTITY, 4), (PLAN, 4)]
    assert not world.source.yielded
    changes(world, IDENTITY, 7, "7@example.com", "Changed")
    vanishes(world, IDENTITY, 8)
    world.source.summed.clear()
    ran = world.sync()
    assert (world.sent_keys(), ran.plan.summary.removed) == (["7"], 1)
    assert world.source.summed == [(IDENTITY, 4), (IDENTITY, 6), (PLAN, 4)]
    assert 0 < world.source.yielded[IDENTITY] < 60
    world.sync()
    world.source.yielded.clear()
    world.sync()
    assert not world.source.yielded


@pytest.fixture
def large(world: World) -> World:
    """Return the world with enough people for finer buckets."""
    world.people(*range(1, 301))
    for _ in range(2):
        world.clock.advance(FULL_EVERY)
        world.sync()
    world.bodies()
    world.source.yielded.clear()
    world.source.reads.clear()
    return world


@pytest.mark.parametrize("how", ["by key", "no lists", "unkeyed", "elusive", "whole only"])
def test_rows_that_differ_are_found_whatever_a_read_by_key_finds(large: World, how: str):
    """By key where all of them are found in that way, else in one pass through the query."""
    source = large.source
    if how == "unkeyed":
        large.rows(IDENTITY).append((None, "nobody@example.com", "Nobody"))
        large.sync()
        source.reads.clear()
    source.lists = how != "no lists"
    source.elusive = {"7"} if how == "elusive" else set()
    source.whole_only = {IDENTITY} if how == "whole only" else set()
    changes(large, IDENTITY, 7, "7@example.com", "Changed")
    vanishes(large, IDENTITY, 8)
    large.rows(IDENTITY).append((1001, "1001@example.com", "New"))
    ran = large.sync()
    assert (large.sent_keys(), ran.plan.summary.removed) == (["1001", "7"], 1)
    assert ran.plan.summary.invalid == (how == "unkeyed")
    tried = [keys for name, keys in source.reads if name == IDENTITY]
    assert [keys is None for keys in tried] == {
        "by key": [False],
        "no lists": [True],
        "unkeyed": [True],
    }.get(how, [False, True])
    large.sync()
    source.reads.clear()
    large.sync()
    assert [name for name, _ in source.reads] == ([IDENTITY] if how == "unkeyed" else [])


def test_a_second_row_of_a_key_is_noticed_where_it_is_read_by_key(large: World):
    """Both have the same place: neither is used, and the contact stays as it was."""
    large.rows(IDENTITY).append((7, "seven@example.com", "Second"))
    assert large.sync().plan.summary.invalid == 1
    vanishes(large, IDENTITY, 7)
    large.rows(IDENTITY).append((7, "7@example.com", "Only"))
    large.sync()
    assert large.sent_keys() == ["7"]


def test_rows_beside_what_changed_that_are_unsettled_are_read_by_key_as_well(large: World):
    """They are looked at again every time."""
    changes(large, IDENTITY, 5, "no address", "Five")
    large.sync()
    large.source.reads.clear()
    changes(large, IDENTITY, 7, "7@example.com", "Changed")
    assert large.sync().plan.summary.invalid == 1
    ((_, keys),) = [read for read in large.source.reads if read[0] == IDENTITY]
    assert keys is not None
    assert {"5", "7"} <= set(keys)


def test_people_who_come_and_go_are_noticed(world: World):
    """A new contact arrives whole, with the plan that was an orphan's; a deleted one is left."""
    world.rows(PLAN).append((500, "pro"))
    assert world.plan().summary.orphan == 1
    world.sync()
    assert world.plan().summary.orphan == 1
    world.rows(IDENTITY).append((500, "500@example.com", "New"))
    vanishes(world, IDENTITY, 3)
    ran = world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "pro"}
    assert (ran.plan.summary.removed, ran.plan.summary.orphan) == (1, 0)
    assert world.plan().summary.orphan == 1
    world.rows(IDENTITY).append((3, "3@example.com", "Back"))
    changes(world, PLAN, 3, "team")
    world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "team"}


@pytest.mark.parametrize("what", ["file", "zone", "engine", "columns", "day", "clock"])
def test_everything_is_read_where_sums_cannot_be_compared(world: World, what: str):
    """An edit, another zone, another server, other columns, the daily scan, a clock set back."""
    passes = world.passes()
    if what == "file":
        world.edit(PLAN)
    elif what == "zone":
        passes = replace(passes, zone=ZoneInfo("Europe/Berlin"))
    elif what == "engine":
        world.source.engine = "sums of the next version"
    elif what == "columns":
        world.source.tables[PLAN].columns.append("cycle")
        world.rows(PLAN)[:] = [(*row, None) for row in world.rows(PLAN)]
    else:
        world.clock.advance(FULL_EVERY if what == "day" else -1.0)
    with passes.look(world.mappings, whole=False) as look:
        passes.admit(look, replace_holds=False)
    assert whole(world, PLAN)


def test_where_most_buckets_changed_everything_is_read(world: World):
    """It costs no more than to pick the rows out."""
    world.guard = GuardSettings(first_load="send", max_change=1.0)
    world.rows(PLAN)[:] = [(key, "pro") for key, _ in world.rows(PLAN)]
    world.sync()
    assert len(world.sent_keys()) == 30
    assert world.source.yielded[PLAN] == 30


class Crash(Exception):
    """The process is gone."""


@pytest.mark.parametrize("step", ["unsettle.after", "settle.after", "record_checksums.before"])
def test_a_change_taken_back_after_a_crash_is_seen(world: World, step: str):
    """The sums on record are those of before the crash; what was settled meanwhile is not."""

    def crash(reached: str) -> None:
        if reached == step:
            raise Crash

    changes(world, PLAN, 7, "pro")
    world.state.on_step = crash
    with pytest.raises(Crash):
        world.admit()
    world.state.on_step = lambda _: None
    changes(world, PLAN, 7, "free")
    world.sync()
    assert not world.bodies()
    assert world.state.load(["7"])["7"].pending == {}
    changes(world, PLAN, 7, "pro")
    world.sync()
    assert world.sent_keys() == ["7"]


def test_what_is_held_is_found_again_and_again(world: World):
    """Until somebody approves it; then it goes out, and the sums are right again."""
    world.rows(PLAN)[:] = [(key, "pro" if key < 24 else "free") for key, _ in world.rows(PLAN)]
    for _ in range(2):
        assert [hold.reason for hold in world.admit().plan.holds] == ["max_change"]
    world.sync(approve=world.plan().digest)
    assert len(world.sent_keys()) == 12
    world.source.yielded.clear()
    assert world.sync().requests == 0
    assert not world.source.yielded


def test_a_held_change_that_is_taken_back_is_none(world: World):
    """A row that is as it was settled differs no more, whatever was on record of it meanwhile."""
    before = list(world.rows(PLAN))
    world.rows(PLAN)[:] = [(key, "pro" if key < 24 else "free") for key, _ in world.rows(PLAN)]
    world.admit()
    world.rows(PLAN)[:] = before
    assert world.plan().summary.requests == 0


def test_a_mapping_that_failed_is_compared_with_what_was_stored(world: World):
    """Its sums stay those of the last pass that was stored."""
    changes(world, PLAN, 7, "pro")
    world.source.failing = {PLAN}
    assert world.sync().failures
    world.source.failing.clear()
    world.sync()
    assert world.sent_keys() == ["7"]


def test_a_contact_that_came_back_while_a_mapping_failed_is_read(world: World):
    """Its row is as it was, but nothing is on record of it any more."""
    vanishes(world, IDENTITY, 7)
    world.sync()
    world.rows(IDENTITY).append((7, "7@example.com", "Name 7"))
    world.source.refused = {PLAN}
    world.sync()
    world.source.refused.clear()
    changes(world, PLAN, 9, "pro")
    world.state.settle(["7"], lambda _, c: Settled(contact=c), now=0.0)
    world.sync()
    assert world.state.observed(PLAN, ["7"])["7"].row


def test_invalid_rows_are_judged_every_time(world: World):
    """A bad address, a row without a key, a key with two rows, in known and in new contacts."""
    changes(world, IDENTITY, 7, "nobody", "Name 7")
    world.rows(IDENTITY).extend([(None, "x@example.com", "X"), (600, "bad", "New")])
    world.rows(PLAN).append((9, "pro"))
    for _ in range(3):
        plan = world.sync().plan
        assert (plan.summary.invalid, plan.invalid_rows) == (3, 4)
    changes(world, IDENTITY, 7, "7@example.com", "Seven")
    changes(world, IDENTITY, 600, "600@example.com", "New")
    vanishes(world, IDENTITY, 0)
    world.rows(PLAN).remove((9, "free"))
    world.sync()
    assert world.sent_keys() == ["600", "7", "9"]


def test_a_change_of_a_contact_that_is_unusable_meanwhile_is_not_lost(world: World):
    """Once its address is right again, what changed in between goes out."""
    changes(world, IDENTITY, 7, "nobody", "Name 7")
    changes(world, PLAN, 7, "pro")
    vanishes(world, PLAN, 9)
    changes(world, IDENTITY, 9, None, "Name 9")
    for _ in range(2):
        world.sync()
    assert not world.bodies()
    changes(world, IDENTITY, 7, "7@example.com", "Name 7")
    changes(world, IDENTITY, 9, "9@example.com", "Name 9")
    world.sync()
    assert world.sent_keys() == ["7", "9"]
    assert plan_at_meisa(world, "7") == "pro"
    assert plan_at_meisa(world, "9") is None


def test_a_mapping_that_is_not_due_is_read_for_new_contacts(world: World):
    """Its sums are older; what it had of them, or had not, is compared when it is due."""
    world.rows(PLAN).append((500, "pro"))
    world.sync()
    world.rows(IDENTITY).extend([(500, "500@example.com", "N"), (502, "502@example.com", "N")])
    world.sync([IDENTITY])
    assert world.sent_keys() == ["500", "502"]
    changes(world, PLAN, 500, "free")
    world.rows(PLAN).append((502, "trial"))
    world.source.yielded.clear()
    world.sync()
    assert world.sent_keys() == ["500", "502"]
    assert world.source.yielded[PLAN] < 15


def test_a_mapping_that_was_away_is_read_for_those_who_came_meanwhile(world: World):
    """Taken out of the folder and put back as it was."""
    world.rows(PLAN).append((500, "pro"))
    world.sync()
    plan = world.mappings.pop(PLAN)
    world.rows(IDENTITY).append((500, "500@example.com", "New"))
    world.sync()
    world.bodies()
    world.mappings[PLAN] = plan
    world.sync()
    (body,) = world.bodies()
    assert body["custom_fields"] == {"plan": "pro"}


def test_very_many_new_contacts_have_every_mapping_read_in_full(world: World):
    """A condition with all of their keys would be slower."""
    world.source.batch = 5000
    crowd = range(1000, 1001 + rows.MOST_RESTRICTED)
    world.rows(IDENTITY).extend((key, f"{key}@example.com", "N") for key in crowd)
    capture(
        world.source,
        world.mappings,
        world.mappings,
        contacts=world.state,
        records=world.state.mappings(),
        spool=MemorySpool(),
        zone=ZoneInfo("UTC"),
        now=world.clock.now(),
    )
    assert whole(world, PLAN)


def test_a_baseline_is_compared_with_what_it_took(world: World):
    """What a baseline took as sent is no change; what comes after it is."""
    changes(world, PLAN, 7, "pro")
    baseline(world.passes(), world.mappings)
    assert world.sync().requests == 0
    changes(world, PLAN, 7, "free")
    world.sync()
    assert world.sent_keys() == ["7"]


def test_a_new_mapping_reads_everything_once(world: World):
    """Missing rows count as well, and then its sums tell."""
    settings = {"logins": FieldSettings(missing=0)}
    world.table(USAGE, "external_id logins", [(1, 5)], fields=settings)
    world.guard = GuardSettings(first_load="send", max_change=1.0)
    world.sync()
    assert len(world.sent_keys()) == 60
    world.source.yielded.clear()
    world.sync()
    assert not world.source.yielded
