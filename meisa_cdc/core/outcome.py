"""What became of a request: the answer as it came, and what it means for any kind of request."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from meisa_cdc.core.contact import Fields

#: A server may ask us to wait; less than a second or more than an hour is not believed.
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 3600.0
#: First and longest delay before a contact that could not be delivered is tried again.
FIRST_DELAY = 2.0
LONGEST_DELAY = 900.0
#: 413 says that this one contact is too large, so the others need not wait for it.
REJECTIONS = frozenset({400, 409, 413, 422})
BUSY = 429
TIMED_OUT = 408
#: How the codes of refused contacts begin, and the one of an answer about somebody else.
REJECTED = "rejected_"
IDENTITY_MISMATCH = "identity_mismatch"


class Kind(StrEnum):
    """What became of a delivery."""

    #: Meisa holds the values that were sent.
    ACCEPTED = "accepted"
    #: Meisa refused this contact's data; it is quarantined.
    REJECTED = "rejected"
    #: Not taken now; the same contact is tried again later.
    DEFERRED = "deferred"
    #: Nobody knows whether Meisa took it; the fields stay in doubt and are sent again.
    UNKNOWN = "unknown"
    #: The key, the path or the address of Meisa is wrong; nothing further is sent.
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back of one request, as the client saw it."""

    #: HTTP status; 0 where no status line arrived.
    status: int = 0
    #: The parsed JSON body; None where there was none, or it was not JSON.
    body: Any = None
    #: Seconds that the server asked us to wait, already parsed; None where it did not.
    retry_after: float | None = None
    #: Whether at least one byte of the request left this machine.
    sent: bool = True
    #: What went wrong in a few words, without secrets; empty where nothing did.
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The judged answer to one request."""

    kind: Kind
    #: `accepted`, `rejected_400`, `identity_mismatch`, `http_503`, `timeout`, …
    code: str
    #: For people, shortened, without secrets.
    message: str = ""
    #: Whether it is certain that Meisa did not take the request.
    untouched: bool = False
    #: Seconds during which nothing at all is sent.
    pause: float = 0.0
    #: Counts as a failed attempt of this contact.
    attempt: bool = False
    #: Meisa's id of the contact, from an accepted answer.
    meisa_id: str = ""
    #: Meisa answered as if it had not known the contact.
    created: bool = False
    #: Values that Meisa returned otherwise than they were sent, by field.
    normalised: Fields = field(default_factory=dict)
    #: The contact's tags, from an accepted answer that named them.
    tags: frozenset[str] = frozenset()
    #: Epoch seconds at which Meisa made the contact, where nothing changed it since.
    made_at: float | None = None

    @property
    def concerns_others(self) -> bool:
        """Whether it says something about requests for other contacts, too."""
        return self.kind not in {Kind.ACCEPTED, Kind.REJECTED}


def is_success(answer: Answer) -> bool:
    """Tell whether an answer's status says that the request was taken."""
    return answer.sent and 200 <= answer.status < 300  # noqa: PLR2004 - success


#: What became of a request that was taken back before it left.
WITHHELD = Outcome(kind=Kind.DEFERRED, code="withheld", untouched=True)


def failure(answer: Answer) -> Outcome:
    """Return what an answer means that is no success, whatever the request was."""
    status = answer.status
    if not answer.sent:
        return _deferred("not_sent", answer, untouched=True)
    if status == 0:
        return Outcome(kind=Kind.UNKNOWN, code="no_answer", message=answer.error, attempt=True)
    if status == BUSY:
        return Outcome(
            kind=Kind.DEFERRED,
            code="http_429",
            message=_message(answer) or "too many requests",
            pause=clamp_pause(answer.retry_after, otherwise=60.0),
        )
    if status in REJECTIONS:
        return Outcome(
            kind=Kind.REJECTED,
            code=f"{REJECTED}{status}",
            message=_message(answer),
            untouched=True,
        )
    if 300 <= status < 500 and status != TIMED_OUT:  # noqa: PLR2004 - certain refusals
        return Outcome(
            kind=Kind.STOPPED, code=f"http_{status}", message=_message(answer), untouched=True
        )
    deferred = _deferred(f"http_{status}", answer, untouched=False)
    if answer.retry_after is None:
        return deferred
    # A server that says when to come back has not failed; we come back then.
    return replace(deferred, pause=clamp_pause(answer.retry_after, otherwise=0.0), attempt=False)


def _deferred(code: str, answer: Answer, *, untouched: bool) -> Outcome:
    return Outcome(
        kind=Kind.DEFERRED if untouched or answer.status else Kind.UNKNOWN,
        code=code,
        message=_message(answer),
        untouched=untouched,
        attempt=True,
    )


def is_rejection(code: str) -> bool:
    """Tell whether an outcome's code is one of a contact that Meisa refused."""
    return code.startswith(REJECTED) or code == IDENTITY_MISMATCH


def clamp_pause(seconds: float | None, *, otherwise: float) -> float:
    """Return a believable pause; `otherwise` where the server named none."""
    if seconds is None:
        return otherwise
    return min(max(seconds, SHORTEST_PAUSE), LONGEST_PAUSE)


def delay(attempts: int, jitter: float) -> float:
    """Return the seconds before attempt number `attempts` + 1; `jitter` is drawn from 0..1."""
    return jitter * min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(attempts, 20))


def _message(answer: Answer, most: int = 300) -> str:
    body = answer.body
    if isinstance(body, dict):
        for name in ("message", "detail", "error"):
            if isinstance(body.get(name), str):
                return str(body[name])[:most]
        return str(body)[:most] if body else answer.error
    return answer.error
