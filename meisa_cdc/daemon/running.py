"""The daemon's life: lead while the lease is ours, stand by while it is not."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from meisa_cdc.core.errors import LeaseHeld, LeaseLost, RetryLater
from meisa_cdc.daemon.health import START, Health
from meisa_cdc.daemon.telling import Log
from meisa_cdc.ports import Clock, State

#: Seconds between two looks at whether the lease has become free.
STANDBY = 1.0
#: Seconds before what cannot work yet is tried again, doubled up to the longest.
FIRST_RETRY = 2.0
LONGEST_RETRY = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Runs until it is asked to stop; only what a person has to correct ends it earlier."""

    #: Opens our state. Raises StateUnavailable where it cannot be reached now.
    state: Callable[[], AbstractContextManager[State]]
    #: Holds the lease of a state. Raises LeaseHeld.
    lease: Callable[[State], AbstractContextManager[object]]
    #: Does the leader's work. Raises LeaseLost, RetryLater.
    lead: Callable[[State], None]
    clock: Clock
    stopping: Callable[[], bool]
    log: Log
    health: Health

    def run(self) -> None:
        """Lead, stand by, and try again what may work later. Raises Stop for anything else."""
        retry = FIRST_RETRY
        while not self.stopping():
            began = self.clock.now()
            try:
                with self.state() as state:
                    self._take_turns(state)
            except RetryLater as error:
                if self.clock.now() - began > LONGEST_RETRY:
                    retry = FIRST_RETRY
                self.log.error("not ready, will be tried again", error=str(error), seconds=retry)
                self.health.failed(START, str(error))
                self._wait(retry)
                retry = min(retry * 2, LONGEST_RETRY)
        self.health.become("stopping")

    def _take_turns(self, state: State) -> None:
        while not self.stopping():
            try:
                with self.lease(state):
                    self.health.become("leading")
                    self.log.info("leading")
                    self.lead(state)
            except LeaseHeld as error:
                known = self.health.leader
                self.health.become("standby", error.holder)
                if error.holder != known:
                    self.log.info("standing by", leader=error.holder)
                self._wait(STANDBY)
            except LeaseLost as error:
                self.log.warning("lease lost", error=str(error))

    def _wait(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        while not self.stopping() and self.clock.now() < until:
            self.clock.sleep(min(0.5, until - self.clock.now()))
