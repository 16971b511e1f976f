"""A daemon's parts without threads of their own, a log that remembers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from meisa_cdc.daemon.health import Health
from meisa_cdc.daemon.leader import Leader
from meisa_cdc.daemon.schedule import Due, Schedules
from meisa_cdc.daemon.waking import Waking
from tests.unit.sync.worlds import World


@dataclass
class Log:
    """Remembers what was told, level and event first."""

    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def info(self, event: str, **values: Any) -> None:
        """Remember what happened."""
        self.lines.append(("info", event, values))

    def warning(self, event: str, **values: Any) -> None:
        """Remember what somebody should look at."""
        self.lines.append(("warning", event, values))

    def error(self, event: str, **values: Any) -> None:
        """Remember what failed."""
        self.lines.append(("error", event, values))

    def told(self, event: str) -> list[dict[str, Any]]:
        """Return what was said with this event."""
        return [values for _, name, values in self.lines if name == event]


@pytest.fixture
def log() -> Log:
    """Return a log."""
    return Log()


@pytest.fixture
def health() -> Health:
    """Return the health of a process that has just begun to lead."""
    health = Health()
    health.become("leading")
    return health


@pytest.fixture
def world() -> World:
    """Return three people with plans, nothing synchronised yet."""
    world = World()
    world.people(1, 2, 3)
    world.plans({1: "free", 2: "pro"})
    return world


@pytest.fixture
def lead(world: World, log: Log, health: Health) -> Callable[..., Leader]:
    """Return a function that works as the leader of the world until a condition holds.

    Nothing is due by itself, but `names`.
    """

    def lead(until: Callable[[], bool], names: tuple[str, ...] = (), **parts: Any) -> Leader:
        due = Due()
        now = world.clock.now()
        given: dict[str, Any] = {
            "passes": world.passes(),
            "push": world.push(),
            "load": lambda: dict(world.mappings),
            "pull": lambda: None,
            "schedules": Schedules(
                mark=due.mark, every=1e9, suppressions_every=1e9, zone=ZoneInfo("UTC")
            ),
            "due": due,
            "clock": world.clock,
            "stopping": until,
            "log": log,
            "health": health,
            "waking": Waking(watch=world.source.watch(), clock=world.clock),
            "last": dict.fromkeys([*world.mappings, "suppressions"], now),
        }
        due.mark(*names)
        leader = Leader(**{**given, **parts})
        leader.work()
        return leader

    return lead
