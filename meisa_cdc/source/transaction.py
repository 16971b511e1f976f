"""What the one transaction of a pass has in common on every server."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.engines import CONNECT_TIMEOUT, place_of
from meisa_cdc.source.watchdog import Watchdog


class Transaction(ABC):
    """A connection, its one transaction, and the limits that its calls have."""

    #: What the driver raises.
    errors: tuple[type[Exception], ...]

    def __init__(self, url: URL, connection: Any, *, patience: float, grace: float) -> None:
        """Begin the transaction, or close the connection. Raises SourceUnavailable.

        `patience`: seconds that cancelling may take; `grace`: seconds that the server has to end a
        call by itself before we do.
        """
        self._place = place_of(url)
        self._patience = patience
        self.connection = connection
        #: Seconds that the next calls may take.
        self.timeout = float(CONNECT_TIMEOUT)
        self._watchdog = Watchdog(self._cancel, self._cut_off, grace=grace)
        self._lost: SourceUnavailable | None = None
        try:
            self._begin()
        except self.errors as error:
            self.close()
            raise self._unavailable(error) from None
        except SourceUnavailable:
            self.close()
            raise

    @abstractmethod
    def _begin(self) -> None:
        """Open the transaction, and make sure that its settings hold."""

    @abstractmethod
    def execute(self, text: str) -> Sequence[tuple[Any, ...]]:
        """Run one statement of ours and return its rows."""

    @abstractmethod
    def _cancel(self) -> None:
        """Ask the server, on a connection beside this one, to end what runs."""

    @abstractmethod
    def _cut_off(self) -> None:
        """Shut the connection's socket, which ends whatever waits for it."""

    @abstractmethod
    def _is_gone(self, error: Exception) -> bool:
        """Tell whether an error means that the connection is of no more use."""

    @abstractmethod
    def _said(self, error: BaseException) -> str:
        """Return what an error says, without a full stop."""

    @abstractmethod
    def close(self) -> None:
        """Throw the connection away."""

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Enclose one call to the server."""
        with self._watchdog.limit(self.timeout):
            yield

    def lost(self, error: Exception) -> SourceUnavailable | None:
        """Return what to tell where an error means that the connection is of no more use."""
        if self._is_gone(error):
            self._lost = self._unavailable(error)
        return self._lost

    def finish(self) -> None:
        """End the transaction. Raises SourceUnavailable where it did not last."""
        if self._lost is not None:
            raise self._lost
        self.timeout = float(CONNECT_TIMEOUT)
        try:
            self.execute("commit")
        except self.errors as error:
            raise self._unavailable(error) from None

    def _unavailable(self, error: BaseException) -> SourceUnavailable:
        return SourceUnavailable(
            f"{self._place} was lost: {self._said(error)}.", hint="It is read again next time."
        )
