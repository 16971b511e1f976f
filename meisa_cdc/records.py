"""What the state holds and remembers: observations, mappings, holds, requests, runs."""

from collections.abc import Callable, Mapping as Dict, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from meisa_cdc.core.budget import Usage
from meisa_cdc.core.contact import Contact, Observation
from meisa_cdc.core.delivery import Request
from meisa_cdc.core.mapping import Column
from meisa_cdc.core.occurrence import REQUESTS, Occurrence, Status
from meisa_cdc.core.outcome import Outcome


class Seen(NamedTuple):
    """What the state knows of one contact in one mapping."""

    #: The contact's row in our state.
    ref: int
    #: Whether identity had a row for it when it was last read.
    present: bool
    #: Fingerprint of the observation that was settled last; None where there is none.
    fingerprint: bytes | None
    #: Whether that observation was a row, not the lack of one.
    row: bool
    #: As in `Observation`.
    place: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Absent:
    """A contact that a mapping yields no row for, where it may have done so before."""

    external_id: str
    #: As in `Seen`.
    ref: int
    #: Whether what was settled last was a row.
    had_row: bool
    #: The place of that row.
    place: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """A contact as it is to be stored, with the observations that led to it."""

    #: None: leave the contact as it is (and do not create it).
    contact: Contact | None
    #: Mapping name -> observation; None as value: forget the one on record.
    observed: Dict[str, Observation | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRecord:
    """What the state remembers of one mapping."""

    name: str
    #: Digest of the file when it was last read without being held.
    digest: str
    columns: tuple[Column, ...]
    #: Epoch seconds of the last complete read that was not held; None: never.
    read_at: float | None
    #: Present contacts for which it had a row.
    covered: int = 0
    #: Present contacts with an observation of it, be it a row or the lack of one.
    settled: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many contacts are in which condition."""

    #: Every contact on record.
    contacts: int = 0
    #: Those that identity had a row for when it was last read.
    present: int = 0
    removed: int = 0
    invalid: int = 0
    quarantined: int = 0
    #: Deliverable contacts by rank.
    backlog: Dict[int, int] = field(default_factory=dict)
    #: Contacts with fields in doubt.
    in_doubt: int = 0
    #: Epoch seconds of the oldest deliverable difference.
    oldest: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord:
    """A hold that waits for a person."""

    digest: str
    mapping: str
    reason: str
    message: str
    contacts: int
    #: Digest of the mapping's file; an edit voids the hold.
    file: str
    recorded_at: float
    approved_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """One request on record: the permission to send it, and the intent that was stored."""

    id: int
    request: Request | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Concluded:
    """What came of one request."""

    grant: Grant
    #: Epoch seconds of the answer.
    now: float
    outcome: Outcome
    #: What it does to the contact; None: nothing.
    settle: Callable[[Contact], Contact] | None = None
    #: Epoch seconds before which the contact is not tried again.
    not_before: float = 0.0
    #: Gets the use and, after a rejection, how many of the newest deliveries were rejected (else
    #: 0); what it returns of pause, throttle and breaker is stored.
    react: Callable[[Usage, int], Usage] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryRecord:
    """One finished or open request, for history."""

    id: int
    kind: str
    external_id: str
    started_at: float
    done_at: float | None
    code: str
    message: str
    fields: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One execution on record."""

    id: int
    command: str
    started_at: float
    ended_at: float | None
    exit_code: int | None
    #: The command's JSON result.
    result: Dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class OccurrenceCount:
    """How many occurrences of a mapping stand where."""

    mapping: str
    status: Status
    #: What they wait for beside their turn; empty for nothing.
    blocked: str
    count: int
    #: Epoch seconds at which the oldest of them was first seen.
    oldest: float


def started(occurrences: Sequence[Occurrence], now: float) -> DeliveryRecord:
    """Return the record of a request for these occurrences that starts now; it has no id yet."""
    return DeliveryRecord(
        id=0,
        kind=REQUESTS[occurrences[0].kind],
        external_id=occurrences[0].external_id,
        started_at=now,
        done_at=None,
        code="",
        message="",
        fields=[f"{each.mapping} {each.key}" for each in occurrences],
    )
