"""Where a test may let the process die: before and after each commit."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Steps:
    """Transactions of a state in memory, and the hook that is told of them."""

    def __init__(self) -> None:
        #: Called with `grant.before` when the transaction `grant` is about to be made and with
        #: `grant.after` once it is stored; what it raises reaches the caller, as a crash would.
        self.on_step: Callable[[str], None] = _go_on
        self._lock = threading.RLock()

    @contextmanager
    def transaction(self, name: str) -> Iterator[None]:
        """Run the block alone; an error in it must come before it stores anything."""
        with self._lock:
            self.on_step(f"{name}.before")
            yield
            self.on_step(f"{name}.after")


def _go_on(_: str) -> None:
    pass
