"""What a pass means for the occurrences of one mapping: figures, cost, digest, documents."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from meisa_cdc.core.guard import Arrivals
from meisa_cdc.core.mapping import EVENTS, SEQUENCES, Mapping
from meisa_cdc.core.occurrence import Occurrence

#: Most addresses that one request enrols.
MOST_TOGETHER = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What there is to do for one events, emails or sequences mapping."""

    mapping: str
    kind: str
    #: New rows that would happen.
    new: int
    #: New rows that count as done: it is the first run.
    baseline: int
    #: Occurrences of earlier passes that wait.
    waiting: int
    #: Rows that cannot be used.
    invalid: int
    #: Requests that all of it takes.
    requests: int


@dataclass(slots=True, kw_only=True)
class Count:
    """Adds up the new occurrences of one mapping, in the order of their keys."""

    mapping: Mapping
    #: Seconds since the last pass that was not held; None: there was none.
    since: float | None
    #: Digest of the file as it was then.
    file: str
    new: int = 0
    invalid: int = 0
    slugs: Counter[str] = field(default_factory=Counter)
    _hash: Any = None

    @property
    def takes_baseline(self) -> bool:
        """Whether what is there counts as done."""
        return self.since is None and not self.mapping.backfill

    def add(self, occurrence: Occurrence) -> None:
        """Count one."""
        self.new += 1
        if occurrence.slug:
            self.slugs[occurrence.slug] += 1
        line = f"{occurrence.key}\n{occurrence.fingerprint.hex()}\n"
        self._hashed.update(line.encode())

    @property
    def _hashed(self) -> Any:
        if self._hash is None:
            named = f"{self.mapping.name} {self.mapping.digest}\n"
            self._hash = hashlib.blake2b(named.encode(), digest_size=16)
        return self._hash

    @property
    def digest(self) -> str:
        """What names these occurrences; empty where none would happen."""
        return "" if self.takes_baseline or not self.new else str(self._hashed.hexdigest())

    def arrivals(self) -> Arrivals:
        """Return what the guard judges."""
        return Arrivals(
            mapping=self.mapping.name,
            new=0 if self.takes_baseline else self.new,
            edited=self.since is not None and self.file != self.mapping.digest,
            since=self.since,
            every=self.mapping.every,
            digest=self.digest,
        )

    def expected(self, waiting: int) -> Expected:
        """Return what there is to do, beside so many that wait already."""
        new = 0 if self.takes_baseline else self.new
        return Expected(
            mapping=self.mapping.name,
            kind=self.mapping.kind,
            new=new,
            baseline=self.new - new,
            waiting=waiting,
            invalid=self.invalid,
            requests=requests(self.mapping.kind, waiting) + self._requests(new),
        )

    def _requests(self, new: int) -> int:
        if not new or self.mapping.kind != SEQUENCES:
            return new
        return sum(ceil(count / MOST_TOGETHER) for count in self.slugs.values())


def requests(kind: str, waiting: int) -> int:
    """Return how many requests so many occurrences take at least."""
    return ceil(waiting / MOST_TOGETHER) if kind == SEQUENCES else waiting


def occurrence_document(occurrence: Occurrence, *, held: bool) -> dict[str, Any]:
    """Return one entry of the plan's `occurrences`."""
    document: dict[str, Any] = {
        "mapping": occurrence.mapping,
        "kind": occurrence.kind,
        "key": occurrence.key,
        "external_id": occurrence.external_id or None,
        "email": occurrence.email or None,
        "status": "held" if held else "new" if occurrence.ref is None else str(occurrence.status),
        "body": dict(occurrence.body),
    }
    if occurrence.blocked:
        document["blocked"] = occurrence.blocked
    return document


def told(occurrence: Occurrence) -> str:
    """Return what an occurrence would do, in a few words."""
    if occurrence.kind == SEQUENCES:
        return f"enrol in {occurrence.slug}"
    if occurrence.kind == EVENTS:
        return f"track {occurrence.body.get('event_name')}"
    return f"send {occurrence.body.get('trigger_key')}"
