"""Bounded memory of what happened: requests that came, triggers that fired."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Generic, Protocol, TypeVar

from meisa_cdc.sandbox.exchange import read_json


class Labelled(Protocol):
    """An entry that says under which word it is counted."""

    @property
    def label(self) -> str:
        """The word."""
        ...


EntryT = TypeVar("EntryT", bound=Labelled)


class Journal(Generic[EntryT]):
    """The last entries and how many there ever were; entries are numbered from 1."""

    def __init__(self, size: int) -> None:
        self._entries: deque[EntryT] = deque(maxlen=size)
        self.total = 0
        self.counts: Counter[str] = Counter()

    def add(self, make: Callable[[int], EntryT]) -> EntryT:
        """Record what `make` returns for the entry's number."""
        entry = make(self.total + 1)
        self.total += 1
        self.counts[entry.label] += 1
        self._entries.append(entry)
        return entry

    def since(self, number: int) -> list[EntryT]:
        """Remembered entries after that number, oldest first."""
        forgotten = self.total - len(self._entries)
        return list(islice(self._entries, max(0, number - forgotten), None))


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRecord:
    """One request to the API and what became of it."""

    #: position in the log, from 1
    number: int
    #: arrival, epoch seconds
    at: float
    #: HTTP method
    method: str
    #: path without the query
    path: str
    #: status answered; None if the connection ended without an answer
    status: int | None
    #: name of the API key; None if there was no valid one
    key_name: str | None
    #: external_id in the body, if there was one
    external_id: str | None
    #: kind of the fault that struck it, if one did
    fault: str | None
    #: the body as sent
    body: bytes

    @property
    def label(self) -> str:
        """Its status, for counting."""
        return "unanswered" if self.status is None else str(self.status)

    @property
    def payload(self) -> object:
        """The body as JSON; None if it is not JSON."""
        return read_json(self.body)

    def document(self) -> dict[str, object]:
        """The record as JSON; a body that is not JSON is given as text."""
        return {
            "number": self.number,
            "at": self.at,
            "method": self.method,
            "path": self.path,
            "status": self.status,
            "api_key": self.key_name,
            "external_id": self.external_id,
            "fault": self.fault,
            "body": self.payload
            if self.payload is not None
            else self.body.decode(errors="replace"),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Trigger:
    """Something that happened to a contact and that automations can react to."""

    #: position in the log, from 1
    number: int
    #: epoch seconds
    at: float
    #: `contact_created`, `contact_updated` or `tag_added`
    kind: str
    #: Meisa's id of the contact
    contact_id: str
    #: the contact's external_id, if it has one
    external_id: str | None
    #: the contact's e-mail after the change
    email: str
    #: path of each changed field -> (old, new); of contact_updated only
    changes: Mapping[str, tuple[object, object]] = field(default_factory=dict)
    #: the tag's name; of tag_added only
    tag: str | None = None

    @property
    def label(self) -> str:
        """Its kind, for counting."""
        return self.kind

    def document(self) -> dict[str, object]:
        """The trigger as JSON."""
        return {
            "number": self.number,
            "at": self.at,
            "kind": self.kind,
            "contact_id": self.contact_id,
            "external_id": self.external_id,
            "email": self.email,
            "changes": {
                path: {"from": old, "to": new} for path, (old, new) in self.changes.items()
            },
            "tag": self.tag,
        }
