"""What a connection to each kind of database must be able to do for a snapshot."""

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

from meisa_cdc.core.checksums import Within
from meisa_cdc.core.mapping import Column
from meisa_cdc.source.affected.answers import Catalogue
from meisa_cdc.source.changelog import ChangeLog
from meisa_cdc.source.restricting import Way
from meisa_cdc.source.statements import Approved, Dress, Statement

Rows: TypeAlias = Generator[Sequence[Sequence[object]], None, None]

#: Rows handed over at once.
BATCH = 2_000


class Hashing(Protocol):
    """How a kind of database adds up rows; see `ports.Snapshot`."""

    def scheme(self, approved: Approved) -> str | None:
        """Return what the hashes depend on beside the rows; None: there are none."""

    def placed(self, approved: Approved, within: Within | None) -> Dress:
        """Return what makes the query of rows followed by their places."""

    def grouped(
        self, approved: Approved, bits: int, within: Within | None, *, listed: bool = False
    ) -> Dress:
        """Return what makes the query of (bucket, rows, sum of their hashes).

        `listed`: with the list of the rows' keys as one more column, where there are lists.
        """

    def answer(self, approved: Approved, dress: Dress) -> Sequence[tuple[Any, ...]]:
        """Return the whole answer to a query on top of the mapping's, at once."""


class Tracing(Protocol):
    """What it takes to follow changed rows to the contacts that they affect."""

    def catalogue(self, tables: Sequence[str], functions: Sequence[str]) -> Catalogue:
        """Return what the database says of names in a query."""

    def answers(self, statement: Statement) -> Rows:
        """Yield batches of the rows of a query of ours."""


class Session(Protocol):
    """One connection with one read-only transaction open; not for use by two threads at once."""

    @property
    def hashing(self) -> Hashing | None:
        """How rows are added up; None where they are not."""

    @property
    def tracing(self) -> Tracing | None:
        """How changed rows are followed; None where they are not."""

    @property
    def log(self) -> ChangeLog | None:
        """What the database keeps of changed rows; None where it keeps nothing."""

    def statement(self, mapping: str, timeout: float) -> AbstractContextManager[None]:
        """Enclose what is done for one mapping; an error in it leaves the transaction usable.

        Raises MappingFailed, MappingError or SourceUnavailable instead of the driver's errors.
        """

    def check(self, approved: Approved) -> None:
        """Ask the database about what the text does not show. Raises MappingError."""

    def describe(self, approved: Approved) -> list[Column]:
        """Return the columns without reading rows."""

    def rows(
        self, approved: Approved, keys: Sequence[str] | None, dress: Dress | None = None
    ) -> Rows:
        """Yield batches of rows, in constant memory; with `dress`, of the query on top."""

    def way(self, approved: Approved, keys: Sequence[str], chunks: int) -> Way:
        """Return how so many chunks of contacts like these are read at the least cost."""

    def explain(self, approved: Approved) -> str:
        """Return the database's plan for a full read, in one line."""

    def finish(self) -> None:
        """End the transaction. Raises SourceUnavailable where it did not last."""

    def close(self) -> None:
        """Throw the connection away."""
