"""A log of changed rows that keeps too much of the app's disk is dropped."""

import pytest

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.sync.status import status
from tests.unit.sync.worlds import IDENTITY, PLAN, Log, World


def told(world: World) -> tuple[list[str], object]:
    """Return how each mapping's changes were found last, and what became of the log."""
    found = status(world.state, world.windows, now=world.clock.now())
    return [each["capture"] for each in found["mappings"]], found["log_dropped"]


def followed(world: World, most: int) -> None:
    """Have the app keep a log of identity that may hold so many changes."""
    world.source.log = Log(follows={IDENTITY}, most=most)


def test_a_log_that_keeps_too_much_is_dropped(world: World):
    """Status says so until there is a log again; the changes are found all the same."""
    followed(world, 1)
    world.sync([IDENTITY, PLAN])
    assert told(world) == (["log", "scan"], None)

    # Whoever reads it is not the one that lets go: a pass over the other mapping alone.
    world.source.log = Log(follows={IDENTITY}, entries=[(IDENTITY, "1"), (IDENTITY, "2")], most=1)
    world.passes().protect()
    when = world.clock.now()
    assert told(world)[1] == {"reason": "the log kept too much", "at": when}

    world.clock.advance(60)
    world.sync([IDENTITY, PLAN])
    assert told(world) == (["scan", "scan"], {"reason": "the log kept too much", "at": when})

    followed(world, 1)
    world.sync([IDENTITY, PLAN])
    assert told(world) == (["log", "scan"], None)


def test_the_pass_that_has_it_dropped_says_so(world: World):
    """Though that pass still read it."""
    followed(world, -1)
    world.sync([IDENTITY, PLAN])
    assert told(world)[1] == {"reason": "the log kept too much", "at": world.clock.now()}


def test_what_cannot_be_looked_after_now_is_looked_after_later(world: World):
    """An app database that is away fails no pass that is stored."""
    passes = world.passes()
    followed(world, -1)
    with passes.look(world.mappings, whole=False) as look:
        world.source.down = True
        passes.admit(look, replace_holds=False)
    with pytest.raises(SourceUnavailable):
        world.passes().protect()
    world.source.down = False
    assert world.passes().protect() == "the log kept too much"
