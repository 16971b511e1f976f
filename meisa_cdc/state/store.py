"""Our state over SQLite or Postgres, whole."""

from types import TracebackType
from typing import Self

from meisa_cdc.ports import Clock
from meisa_cdc.state.budget import SqlBudget
from meisa_cdc.state.contacts import SqlContacts
from meisa_cdc.state.engine import Database
from meisa_cdc.state.holds import SqlHolds
from meisa_cdc.state.lease import Lease
from meisa_cdc.state.observations import SqlObservations
from meisa_cdc.state.occurrences import SqlOccurrences
from meisa_cdc.state.records import SqlRecords


class SqlState(SqlBudget, SqlContacts, SqlObservations, SqlOccurrences, SqlRecords, SqlHolds):
    """`ports.State` over a database; safe to use from several threads.

    Once a lease was acquired through `lease`, every write verifies in its own transaction that
    it is still ours. Without one, writes are not verified.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        for part in (SqlBudget, SqlContacts, SqlObservations, SqlOccurrences, SqlRecords, SqlHolds):
            part.__init__(self, database)
        self._clock = clock

    def lease(self, holder: str) -> Lease:
        """Return this state's lease, not yet acquired, for the process that `holder` names."""
        return Lease(self._database, self._clock, holder)

    def close(self) -> None:
        """Close every connection."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
