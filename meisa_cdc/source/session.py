"""What a connection to each kind of database must be able to do for a snapshot."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from meisa_cdc.core.mapping import Column
from meisa_cdc.source.statements import Approved

Rows: TypeAlias = Generator[Sequence[Sequence[object]], None, None]

#: Rows handed over at once.
BATCH = 2_000


class Session(Protocol):
    """One connection with one read-only transaction open; not for use by two threads at once."""

    def statement(self, mapping: str, timeout: float) -> AbstractContextManager[None]:
        """Enclose what is done for one mapping; an error in it leaves the transaction usable.

        Raises MappingFailed, MappingError or SourceUnavailable instead of the driver's errors.
        """

    def check(self, approved: Approved) -> None:
        """Ask the database about what the text does not show. Raises MappingError."""

    def describe(self, approved: Approved) -> list[Column]:
        """Return the columns without reading rows."""

    def rows(self, approved: Approved, keys: Sequence[str] | None) -> Rows:
        """Yield batches of rows, in constant memory."""

    def explain(self, approved: Approved) -> str:
        """Return the database's plan for a full read, in one line."""

    def finish(self) -> None:
        """End the transaction. Raises SourceUnavailable where it did not last."""

    def close(self) -> None:
        """Throw the connection away."""
