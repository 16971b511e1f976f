"""What has changed since it was last written to disk, if it is written at all."""

from collections.abc import Mapping
from typing import Any, Protocol

Document = Mapping[str, Any]


class Storable(Protocol):
    """An entry that can be written to disk."""

    def stored(self) -> Document:
        """Everything there is to know about it, as JSON."""
        ...


class Unsaved:
    """Entries that are newer than the disk, each under its kind and key.

    Without a disk it remembers nothing.
    """

    def __init__(self, *, remember: bool = False) -> None:
        self._remember = remember
        self._entries: dict[tuple[str, str], Storable | None] = {}

    def note(self, kind: str, key: str, entry: Storable | None) -> None:
        """The entry was added or changed; None: it was removed."""
        if self._remember:
            # The one changed last comes last: that is the order it is read back in.
            self._entries.pop((kind, key), None)
            self._entries[kind, key] = entry

    def entries(self) -> Mapping[tuple[str, str], Storable | None]:
        """What is to be written, in order of the last change."""
        return self._entries

    def clear(self) -> None:
        """All of it has been written."""
        self._entries.clear()
