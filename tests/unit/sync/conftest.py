"""A world to synchronise."""

import pytest

from tests.unit.sync.worlds import World


@pytest.fixture
def world() -> World:
    """Return three people, two of them with a plan, nothing synchronised yet."""
    world = World()
    world.people(1, 2, 3)
    world.plans({1: "free", 2: "pro"})
    return world
