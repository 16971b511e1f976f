"""Bounded memory of what happened, and what it keeps of each request."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Generic, Protocol, TypeVar

from meisa_cdc.sandbox.exchange import read_json
from meisa_cdc.sandbox.unsaved import Document, Storable, Unsaved

_OVER_LIMIT = 429


class Numbered(Storable, Protocol):
    """An entry with its position, and the word it is counted under."""

    @property
    def number(self) -> int:
        """The position, from 1."""
        ...

    @property
    def label(self) -> str:
        """The word."""
        ...


EntryT = TypeVar("EntryT", bound=Numbered)


class Journal(Generic[EntryT]):
    """The last entries and how many there ever were; entries are numbered from 1."""

    def __init__(self, kind: str, size: int, unsaved: Unsaved) -> None:
        self._kind = kind
        self._unsaved = unsaved
        self._entries: deque[EntryT] = deque(maxlen=size)
        self.total = 0
        self.counts: Counter[str] = Counter()

    def add(self, make: Callable[[int], EntryT]) -> EntryT:
        """Record what `make` returns for the entry's number."""
        entry = make(self.total + 1)
        self.total += 1
        self.counts[entry.label] += 1
        self._forget_one_too_many()
        self._entries.append(entry)
        self._unsaved.note(self._kind, str(entry.number), entry)
        self._unsaved.note("journal", self._kind, self)
        return entry

    def since(self, number: int) -> list[EntryT]:
        """Remembered entries after that number, oldest first."""
        forgotten = self.total - len(self._entries)
        return list(islice(self._entries, max(0, number - forgotten), None))

    def stored(self) -> Document:
        """Its counters, as the disk keeps them."""
        return {"kind": self._kind, "total": self.total, "counts": dict(self.counts)}

    def restore(
        self, load: Callable[[str], list[Document]], make: Callable[[Document], EntryT]
    ) -> None:
        """Take over what the disk kept; `load` gives the entries of one kind, oldest first."""
        for counters in load("journal"):
            if counters["kind"] == self._kind:
                self.total = counters["total"]
                self.counts = Counter(counters["counts"])
        for document in load(self._kind):
            self._forget_one_too_many()
            self._entries.append(make(document))

    def _forget_one_too_many(self) -> None:
        if len(self._entries) == self._entries.maxlen:
            self._unsaved.note(self._kind, str(self._entries[0].number), None)


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
    def admitted(self) -> bool:
        """Whether it counted against the limits; a fault comes after they were looked at."""
        return self.key_name is not None and (self.status != _OVER_LIMIT or self.fault is not None)

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

    def stored(self) -> Document:
        """The record as the disk keeps it; a body need not be text, Latin-1 has every byte."""
        return {**asdict(self), "body": self.body.decode("latin-1")}


def stored_request(document: Document) -> RequestRecord:
    """The record that `stored` described."""
    return RequestRecord(**{**document, "body": document["body"].encode("latin-1")})
