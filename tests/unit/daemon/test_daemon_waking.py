"""Changes that a log tells of are noticed before any schedule."""

from collections.abc import Callable

import pytest

from meisa_cdc.daemon.leader import Leader
from meisa_cdc.daemon.waking import EVERY, REST, RETRY, Waking
from tests.unit.daemon.conftest import Log as Told
from tests.unit.sync.worlds import IDENTITY, PLAN, Log, World

Lead = Callable[..., Leader]
NAMES = frozenset({PLAN})


@pytest.fixture
def waking(world: World) -> Waking:
    """Return what looks at the world's log."""
    world.source.log = Log(follows=set(NAMES))
    return Waking(watch=world.source.watch(), clock=world.clock)


def test_a_change_is_noticed_though_nothing_is_due(world: World, lead: Lead, log: Told):
    """Not for years; yet Meisa learns of a plan, and the log is cut off."""
    world.source.log = kept = Log(follows={IDENTITY, PLAN})
    world.sync()
    world.rows(PLAN)[:] = [(1, "pro"), (2, "pro")]
    kept.entries.append((PLAN, "1"))
    began = world.clock.now()
    world.bodies()
    lead(lambda: bool(world.meisa.requests) or world.clock.now() - began > 1e6)
    (body,) = world.bodies()
    assert (body["external_id"], body["custom_fields"]) == ("1", {"plan": "pro"})
    assert (kept.entries, kept.start) == ([], 1)
    assert [told["mappings"] for told in log.told("pass")] == [[IDENTITY, PLAN]]


def test_it_looks_once_a_second(world: World, waking: Waking):
    """Where something is new, each look tells so until a pass was shown it."""
    assert world.source.log is not None
    world.source.log.entries.append((PLAN, "1"))
    assert [waking.due(lambda: NAMES) for _ in range(2)] == [NAMES, frozenset()]
    world.clock.advance(EVERY)
    assert waking.due(lambda: NAMES) == NAMES


def test_it_looks_at_nothing_where_no_mapping_is_followed(world: World, waking: Waking):
    """Whatever the log has."""
    assert world.source.log is not None
    world.source.log.entries.append((PLAN, "1"))
    assert waking.due(frozenset) == frozenset()


def test_long_passes_are_followed_by_long_rests(world: World, waking: Waking):
    """So that the app database is not read all the time."""
    assert world.source.log is not None
    world.source.log.entries.append((PLAN, "1"))
    waking.passed(60.0)
    world.clock.advance(60 * REST - 1)
    assert waking.due(lambda: NAMES) == frozenset()
    world.clock.advance(1)
    assert waking.due(lambda: NAMES) == NAMES


def test_a_log_that_cannot_be_looked_at_is_tried_again(world: World, waking: Waking):
    """After a while; the schedules go on meanwhile."""
    assert world.source.log is not None
    world.source.log.entries.append((PLAN, "1"))
    world.source.down = True
    assert waking.due(lambda: NAMES) == frozenset()
    world.source.down = False
    world.clock.advance(RETRY - 1)
    assert waking.due(lambda: NAMES) == frozenset()
    world.clock.advance(1)
    assert waking.due(lambda: NAMES) == NAMES


def test_a_log_is_looked_after_though_passes_fail(world: World, lead: Lead, log: Told):
    """Nobody reads it then, so it grows; it is dropped before it fills somebody's disk."""
    world.source.log = Log(follows={IDENTITY, PLAN}, most=3)
    world.source.log.entries += [(PLAN, "1")] * 4
    world.source.failing |= {IDENTITY, PLAN}
    lead(lambda: world.source.log is None)
    (told,) = log.told("log of changed rows dropped")
    assert told["reason"]
