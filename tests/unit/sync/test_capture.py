"""Capturing a snapshot into the spool: what is read, what is told, what is left out."""

from zoneinfo import ZoneInfo

from meisa_cdc.core.plan import MOST_LISTED
from meisa_cdc.sync.capture import capture
from meisa_cdc.sync.captured import Captured
from meisa_cdc.sync.rows import MOST_RESTRICTED
from meisa_cdc.testing import MemorySpool
from tests.unit.sync.worlds import IDENTITY, PLAN, World


def captured(world: World, *due: str) -> tuple[Captured, MemorySpool]:
    """Read these mappings, or all; return what was seen."""
    spool = MemorySpool()
    seen = capture(
        world.source,
        world.mappings,
        due or world.mappings,
        contacts=world.state,
        records=world.state.mappings(),
        spool=spool,
        zone=ZoneInfo("UTC"),
        now=world.clock.now(),
    )
    return seen, spool


def spooled(spool: MemorySpool) -> dict[str, set[str]]:
    """Return whom each mapping gave something to look at."""
    found: dict[str, set[str]] = {}
    for batch in spool.contacts():
        for key, staged in batch:
            for mapping in staged:
                found.setdefault(mapping, set()).add(key)
    return found


def test_everything_is_looked_at_the_first_time(world: World):
    """Everybody is new."""
    seen, spool = captured(world)
    assert spooled(spool) == {IDENTITY: {"1", "2", "3"}, PLAN: {"1", "2"}}
    assert (seen.identity, seen.complete) == (IDENTITY, {IDENTITY, PLAN})
    assert seen.rows == {IDENTITY: 3, PLAN: 2}


def test_nothing_is_looked_at_where_nothing_changed(world: World):
    """Whatever the order of the rows."""
    world.sync()
    world.rows(IDENTITY).reverse()
    seen, spool = captured(world)
    assert spooled(spool) == {}
    assert seen.rows == {IDENTITY: 3, PLAN: 2}


def test_f27_only_what_differs_is_looked_at(world: World):
    """A changed row, and one that is gone."""
    world.sync()
    world.rows(IDENTITY)[2] = (3, "3@example.com", "Renamed")
    world.plans({2: "pro"})
    _, spool = captured(world)
    assert spooled(spool) == {IDENTITY: {"3"}, PLAN: {"1"}}


def test_everything_is_looked_at_anew_in_another_time_zone(world: World):
    """Naive datetimes may mean something else."""
    world.sync()
    spool = MemorySpool()
    capture(
        world.source,
        world.mappings,
        world.mappings,
        contacts=world.state,
        records=world.state.mappings(),
        spool=spool,
        zone=ZoneInfo("Europe/Berlin"),
        now=world.clock.now(),
    )
    assert spooled(spool) == {IDENTITY: {"1", "2", "3"}, PLAN: {"1", "2", "3"}}


def test_identity_is_read_first_whatever_its_name(world: World):
    """The others' rows need its people."""
    world.table("contacts/a", "external_id logins", [(1, 5), (9, 5)])
    seen, _ = captured(world)
    assert world.source.reads[0] == (IDENTITY, None)
    assert seen.orphans == 1


def test_a_failed_mapping_leaves_nothing_behind(world: World):
    """Not even the rows it yielded before it failed."""
    world.source.failing = {PLAN}
    seen, spool = captured(world)
    assert spooled(spool) == {IDENTITY: {"1", "2", "3"}}
    assert (seen.complete, list(seen.failures)) == ({IDENTITY}, [PLAN])
    assert not seen.readings[PLAN].covers_new


def test_countless_rows_without_a_key_are_counted_and_some_are_told(world: World):
    """Memory is not for listing them."""
    world.source.batch = 1000
    world.rows(PLAN).extend([(None, "free")] * (MOST_LISTED + 5))
    world.people(1, 2, 3, rows=[(None, "x@example.com", "Nobody")])
    seen, _ = captured(world)
    assert len(seen.unkeyed) == MOST_LISTED
    assert seen.unkeyed_count == {IDENTITY: 1, PLAN: MOST_LISTED + 5}


def test_for_countless_new_contacts_a_mapping_that_is_not_due_is_read_in_full(world: World):
    """A condition with all of their keys would be slower."""
    world.source.batch = 5000
    world.people(*range(MOST_RESTRICTED + 1))
    seen, _ = captured(world, IDENTITY)
    assert world.source.reads == [(IDENTITY, None), (PLAN, None)]
    assert seen.complete == {IDENTITY, PLAN}


def test_long_values_are_shortened_where_a_row_is_told(world: World):
    """Every column has its place."""
    world.table(IDENTITY, "external_id email first_name", [(None, "x" * 500, "y" * 500)])
    seen, _ = captured(world)
    (told,) = seen.unkeyed
    assert "first_name='yyy" in told.message
    assert len(told.message) < 250
