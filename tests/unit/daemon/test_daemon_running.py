"""The daemon's life: lead, stand by, try again, end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from meisa_cdc.core.errors import LeaseHeld, LeaseLost, MeisaUnavailable, StateRefused
from meisa_cdc.daemon.health import Health
from meisa_cdc.daemon.running import FIRST_RETRY, LONGEST_RETRY, STANDBY, Daemon
from meisa_cdc.testing import HandClock, MemoryState
from tests.unit.daemon.conftest import Log


class Life:
    """A daemon whose parts do what a script says, in turn; it is asked to end with the script."""

    def __init__(self, log: Log, lease: tuple[Any, ...] = (), lead: tuple[Any, ...] = ()) -> None:
        self.clock = HandClock()
        self.log = log
        self.health = Health()
        self._lease, self._lead = list(lease), list(lead)
        #: Seconds from the start to each turn as leader.
        self.led: list[float] = []
        #: What /readyz said at each look at the script.
        self.seen: list[dict[str, Any]] = []
        self._began = self.clock.now()

    def run(self) -> None:
        """Live until the script has come to its end."""
        Daemon(
            state=self._state,
            lease=self._leased,
            lead=self._led,
            clock=self.clock,
            stopping=lambda: not self._lease and not self._lead,
            log=self.log,
            health=self.health,
        ).run()

    @contextmanager
    def _state(self) -> Iterator[MemoryState]:
        yield MemoryState()

    @contextmanager
    def _leased(self, _: object) -> Iterator[None]:
        self.seen.append(self.health.document())
        step = self._lease.pop(0) if self._lease else None
        if step is not None:
            raise step
        yield

    def _led(self, _: object) -> None:
        self.led.append(self.clock.now() - self._began)
        step = self._lead.pop(0) if self._lead else None
        if isinstance(step, Exception):
            raise step
        if step is not None:
            step()


@pytest.fixture
def life(log: Log) -> Callable[..., Life]:
    """Return a function that lives a scripted life."""

    def life(**script: Any) -> Life:
        lived = Life(log, **script)
        lived.run()
        return lived

    return life


def test_f06_it_stands_by_until_the_lease_is_free(life: Callable[..., Life], log: Log):
    """It looks every second, says once whom it stands by for, and is ready meanwhile."""
    held = LeaseHeld("run on web-1 pid 7")
    lived = life(lease=(held, held, held, None), lead=(None,))
    assert lived.led == [pytest.approx(3 * STANDBY)]
    assert log.told("standing by") == [{"leader": "run on web-1 pid 7"}]
    assert [(each["ready"], each["role"], each["leader"]) for each in lived.seen] == [
        (False, "starting", None),
        *[(True, "standby", "run on web-1 pid 7")] * 3,
    ]


def test_f07_a_lost_lease_makes_it_stand_by(life: Callable[..., Life], log: Log):
    """It goes on as one of the others, and leads again once it may."""
    lived = life(
        lease=(None, LeaseHeld("run on web-2 pid 8"), None), lead=(LeaseLost("Gone."), None)
    )
    assert len(lived.led) == 2
    assert log.told("lease lost") == [{"error": "Gone."}]


def test_it_tries_again_ever_more_slowly(life: Callable[..., Life], log: Log):
    """What may work later is tried again after 2 s, then 4 s, at most after a minute."""
    away = MeisaUnavailable("Meisa does not answer.")
    life(lead=(away,) * 8)
    seconds = [each["seconds"] for each in log.told("not ready, will be tried again")]
    assert seconds == [2, 4, 8, 16, 32, 60, 60, 60]
    assert (seconds[0], seconds[-1]) == (FIRST_RETRY, LONGEST_RETRY)


def test_after_a_long_time_of_work_it_begins_anew(log: Log):
    """Hiccups of last week do not make today's take a minute."""
    away = MeisaUnavailable("Meisa does not answer.")
    lived = Life(log)

    def work_for_an_hour() -> None:
        lived.clock.advance(3600.0)
        raise away

    lived._lead = [away, away, work_for_an_hour]  # noqa: SLF001 - the script is this test's own
    lived.run()
    seconds = [each["seconds"] for each in log.told("not ready, will be tried again")]
    assert seconds == [2, 4, 2]


def test_what_a_person_has_to_mend_ends_it(life: Callable[..., Life]):
    """It is raised, for the command to tell."""
    with pytest.raises(StateRefused):
        life(lead=(StateRefused("Another Meisa."),))


def test_it_is_not_ready_before_it_works_nor_at_its_end(life: Callable[..., Life]):
    """Having the lease is not enough; and who is about to end takes no work."""
    seen: list[dict[str, Any]] = []
    health = Health()
    health.become("leading")
    seen.append(health.document())
    health.works("start")
    seen.append(health.document())
    health.failed("pass", "The app database is away.")
    seen.append(health.document())
    assert [each["ready"] for each in seen] == [False, True, False]
    assert seen[2]["problem"] == "The app database is away."
    lived = life(lead=(None,))
    assert lived.health.document()["role"] == "stopping"
    assert not lived.health.document()["ready"]
