"""The lease: one process at a time captures and delivers, fenced by a growing number."""

import os
import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, Double, cast, extract, func, select, update

from meisa_cdc.core.errors import LeaseHeld, MeisaCdcError, StateUnavailable, Stop
from meisa_cdc.ports import Clock
from meisa_cdc.state.engine import AnyRow, Database
from meisa_cdc.state.schema import ONLY, lease

#: Seconds after its last renewal at which a lease may be taken over.
LIFETIME = 8.0
#: Seconds between renewals; with LIFETIME, a dead holder is noticed within ten.
RENEWAL = 2.0

_ROW = select(lease).where(lease.c.id == ONLY)
_SET = update(lease).where(lease.c.id == ONLY)


def holder_name(command: str) -> str:
    """Return how this process is named to others: `run on web-1 pid 4711`."""
    return f"{command} on {socket.gethostname()} pid {os.getpid()}"


def live_holder(connection: Connection, clock: Clock) -> str:
    """Return who holds the lease at present; empty where nobody does."""
    row = connection.execute(_ROW).one()
    return "" if _is_over(row, _now(connection, clock)) else str(row.holder)


class Lease:
    """The right to write to a state; `Database.fence` carries it to every transaction."""

    def __init__(self, database: Database, clock: Clock, holder: str) -> None:
        self._database = database
        self._clock = clock
        self.holder = holder
        #: The number of our lease; None while we hold none.
        self.fence: int | None = None

    def acquire(self) -> None:
        """Take the lease, over from a holder that stopped renewing it.

        Raises LeaseHeld, which names the holder, or StateUnavailable.
        """
        # Not fenced: until it is ours again, threads that still run are to fail on the old number.
        with self._database.write(fenced=False) as connection:
            row = connection.execute(_ROW.with_for_update()).one()
            now = _now(connection, self._clock)
            if not _is_over(row, now):
                raise LeaseHeld(row.holder)
            fence: int = row.fence + 1
            connection.execute(
                _SET.values(
                    holder=self.holder, fence=fence, renewed_at=now, expires_at=now + LIFETIME
                )
            )
        self.fence = self._database.fence = fence

    def renew(self) -> None:
        """Keep the lease for another while. Raises LeaseLost, or StateUnavailable."""
        with self._database.write() as connection:
            now = _now(connection, self._clock)
            connection.execute(_SET.values(renewed_at=now, expires_at=now + LIFETIME))

    def release(self) -> None:
        """Give the lease back if it is still ours. Raises StateUnavailable."""
        if self.fence is None:
            return
        with self._database.write(fenced=False) as connection:
            ours = _SET.where(lease.c.fence == self.fence)
            connection.execute(ours.values(holder="", expires_at=0.0))
        self.fence = None


class LeaseKeeper:
    """Holds a lease for the length of a `with` block and renews it from a thread of its own."""

    def __init__(self, lease: Lease, *, every: float = RENEWAL) -> None:
        self._lease = lease
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        #: Why the lease could not be kept; None while it is ours.
        self.lost: MeisaCdcError | None = None

    def __enter__(self) -> Self:
        """Acquire the lease. Raises LeaseHeld or StateUnavailable."""
        self._lease.acquire()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self.lost is None:
            # One that cannot be given back expires by itself.
            with suppress(StateUnavailable):
                self._lease.release()

    def join(self, seconds: float) -> None:
        """Wait until the lease is lost, that long at most."""
        self._thread.join(seconds)

    def _keep(self) -> None:
        while not self._ended.wait(self._every):
            try:
                self._lease.renew()
            except StateUnavailable:
                # The next renewal may succeed; if someone else's does first, the fence tells.
                continue
            except Stop as error:
                self.lost = error
                return


def _now(connection: Connection, clock: Clock) -> float:
    """Return the time that all processes on this state share: the server's, else this machine's."""
    if connection.dialect.name == "sqlite":
        return clock.now()
    epoch = cast(extract("epoch", func.clock_timestamp()), Double)
    return float(connection.execute(select(epoch)).scalar_one())


def _is_over(row: AnyRow, now: float) -> bool:
    # One that was renewed in the future is a relic: the clock was set back since.
    return bool(row.expires_at <= now or row.renewed_at > now + LIFETIME)
