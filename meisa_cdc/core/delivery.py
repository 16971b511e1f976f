"""An answer -> an outcome, and what it does to the contact."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from meisa_cdc.core.contact import (
    EMAIL,
    SOURCE,
    TAG_NAMES,
    Contact,
    Fields,
    Late,
    Quarantined,
    payload,
)
from meisa_cdc.core.values import Value, email_key, fingerprint, same

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
#: Somebody in between gave up waiting; what we asked for may still happen.
GIVEN_UP = frozenset({"http_408", "http_502", "http_504"})
#: Seconds after which a request that was given up is taken to have been carried out or lost.
SETTLES = 600.0


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
class Request:
    """One upsert, ready to be sent."""

    external_id: str
    #: The values that Meisa will hold once it accepts, by field.
    fields: Fields
    #: The JSON body.
    body: Mapping[str, Value]
    #: Fields that were not in doubt before; a rejection takes them out of doubt again.
    doubted: frozenset[str]

    @property
    def fingerprint(self) -> bytes:
        """What a quarantine of this request is keyed on."""
        return fingerprint(self.body)


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


def request_for(contact: Contact) -> Request:
    """Return the upsert of what differs for a contact: identifiers and differences alone."""
    fields = dict(sorted({**contact.riding, **contact.pending}.items()))
    sent: dict[str, Value] = dict(fields)
    if TAG_NAMES in sent and TAG_NAMES not in contact.in_doubt:
        held = contact.ledger.get(TAG_NAMES)
        known = held if isinstance(held, list) else []
        wanted = sent[TAG_NAMES]
        sent[TAG_NAMES] = (
            [tag for tag in wanted if tag not in known] if isinstance(wanted, list) else []
        )
    if not contact.ledger:
        sent.setdefault(SOURCE, "initial_sync" if contact.first_load else "api")
        fields.pop(SOURCE, None)
    return Request(
        external_id=contact.external_id,
        fields=fields,
        body=payload(contact.external_id, contact.email, sent),
        doubted=frozenset(fields) - contact.in_doubt,
    )


def intend(contact: Contact, request: Request) -> Contact:
    """Return the contact as it must be stored before the request leaves: its fields in doubt."""
    return replace(contact, in_doubt=contact.in_doubt | frozenset(request.fields))


def judge(request: Request, answer: Answer) -> Outcome:
    """Return what an answer means. Only certain answers are accepted, rejected or untouched."""
    status = answer.status
    if not answer.sent:
        return _deferred("not_sent", answer, untouched=True)
    if status == 0:
        return Outcome(kind=Kind.UNKNOWN, code="no_answer", message=answer.error, attempt=True)
    if 200 <= status < 300:  # noqa: PLR2004 - success
        return _judge_success(request, answer)
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


def _judge_success(request: Request, answer: Answer) -> Outcome:
    body = answer.body
    if not isinstance(body, dict) or not _is_id(body.get("id")):
        message = answer.error or "the answer is not a contact"
        return Outcome(kind=Kind.UNKNOWN, code="not_a_contact", message=message, attempt=True)
    email, external_id = body.get("email"), body.get("external_id")
    wanted = request.body["email"]
    if (
        str(external_id) != request.external_id
        or not isinstance(email, str)
        or email_key(email) != email_key(str(wanted))
    ):
        message = f"asked for {request.external_id}, answered for {external_id}"
        return Outcome(kind=Kind.REJECTED, code=IDENTITY_MISMATCH, message=message)
    normalised = _normalised(request, body)
    return Outcome(
        kind=Kind.ACCEPTED,
        code="accepted",
        message=f"normalised by Meisa: {', '.join(normalised)}" if normalised else "",
        meisa_id=str(body["id"]),
        created=answer.status == 201,  # noqa: PLR2004 - Created
        normalised=normalised,
    )


def _is_id(value: object) -> bool:
    return bool(value) and isinstance(value, str | int) and not isinstance(value, bool)


def _normalised(request: Request, body: Mapping[str, Any]) -> dict[str, Value]:
    custom = body.get("custom_fields")
    returned = (
        {f"custom_fields.{k}": v for k, v in custom.items()} if isinstance(custom, dict) else {}
    )
    returned |= {k: v for k, v in body.items() if k != TAG_NAMES}
    return {
        name: returned[name]
        for name, value in request.fields.items()
        if name in returned and not _alike(returned[name], value)
    }


def _alike(returned: Any, sent: Value) -> bool:
    try:
        return same(returned, sent)
    except RecursionError:  # a server may nest deeper than anything we sent
        return False


def is_rejection(code: str) -> bool:
    """Tell whether an outcome's code is one of a contact that Meisa refused."""
    return code.startswith(REJECTED) or code == IDENTITY_MISMATCH


def settle(
    contact: Contact, request: Request, outcome: Outcome, *, started: float, now: float
) -> Contact:
    """Return the contact as it must be stored after the outcome.

    What was observed since the request started is kept: only fields whose value is still the
    one that was sent stop being pending.
    """
    if outcome.kind is Kind.ACCEPTED:
        return replace(_accepted(contact, request, outcome), late=_late(contact.late, started, now))
    if outcome.kind is Kind.UNKNOWN or outcome.code in GIVEN_UP:
        earlier = contact.late.fields if contact.late else frozenset()
        contact = replace(contact, late=Late(fields=earlier | set(request.fields), at=now))
    if outcome.untouched:
        contact = replace(contact, in_doubt=contact.in_doubt - request.doubted)
    if outcome.kind is Kind.REJECTED:
        held = Quarantined(
            code=outcome.code, message=outcome.message, payload=request.fingerprint, since=now
        )
        return replace(contact, quarantine=held, rank=None)
    return contact


def _late(late: Late | None, started: float, now: float) -> Late | None:
    """Return what may still overwrite what was just accepted, and when that will be known."""
    if late is None or (late.confirm_at is None and started - late.at >= SETTLES):
        return None
    return late if late.confirm_at is not None else replace(late, confirm_at=now + SETTLES)


def _accepted(contact: Contact, request: Request, outcome: Outcome) -> Contact:
    ledger = {**contact.ledger, **request.fields}
    stranger = outcome.created or bool(contact.meisa_id and contact.meisa_id != outcome.meisa_id)
    in_doubt = contact.in_doubt - frozenset(request.fields)
    pending = _left(contact.pending, ledger, in_doubt)
    riding = _left(contact.riding, ledger, in_doubt)
    pending.pop(SOURCE, None)
    if stranger and contact.ledger:
        # Meisa no longer had this contact: it holds what the body carried, and nothing else.
        once = ledger
        ledger = _carried(request)
        lost = {n: v for n, v in once.items() if n not in ledger or not same(v, ledger[n])}
        pending = {**lost, **pending}
        in_doubt = frozenset()
    return replace(
        contact,
        ledger=ledger,
        in_doubt=in_doubt,
        pending=pending,
        riding=riding,
        due=contact.due if riding else None,
        meisa_id=outcome.meisa_id,
        quarantine=None,
        rank=contact.rank if pending else None,
        since=contact.since if pending else None,
        novel=contact.novel & pending.keys(),
        inherits=frozenset(),
    )


def _left(observed: Fields, ledger: Fields, in_doubt: frozenset[str]) -> dict[str, Value]:
    """Return what still differs: it changed while the request was under way."""
    return {
        name: value
        for name, value in observed.items()
        if name in in_doubt or name not in ledger or not same(value, ledger[name])
    }


def _carried(request: Request) -> dict[str, Value]:
    """Return the fields as the body had them: always the e-mail, of the tags only the new ones."""
    carried = {**request.fields, EMAIL: request.body[EMAIL]}
    if TAG_NAMES in carried:
        carried[TAG_NAMES] = request.body[TAG_NAMES]
    return carried


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
