"""An answer -> an outcome, and what it does to the contact."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from meisa_cdc.core import tags
from meisa_cdc.core.contact import (
    EMAIL,
    SOURCE,
    TAG_NAMES,
    TAGS,
    UNSET,
    Contact,
    Fields,
    Late,
    Quarantined,
    payload,
)
from meisa_cdc.core.values import Value, email_key, fingerprint, same

#: Kinds of requests.
UPSERT = "upsert"
REMOVE_TAG = "remove_tag"
#: A server may ask us to wait; less than a second or more than an hour is not believed.
SHORTEST_PAUSE = 1.0
LONGEST_PAUSE = 3600.0
#: First and longest delay before a contact that could not be delivered is tried again.
FIRST_DELAY = 2.0
LONGEST_DELAY = 900.0
#: 413 says that this one contact is too large, so the others need not wait for it.
REJECTIONS = frozenset({400, 409, 413, 422})
BUSY = 429
ABSENT = 404
TIMED_OUT = 408
#: How the codes of refused contacts begin, and the one of an answer about somebody else.
REJECTED = "rejected_"
IDENTITY_MISMATCH = "identity_mismatch"
#: A contact that is at most that many seconds old, by two clocks, came with the request.
FRESH = 300.0
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
    """One upsert, or the removal of one tag, ready to be sent."""

    #: UPSERT or REMOVE_TAG.
    kind: str = UPSERT
    external_id: str
    #: Meisa's id of the contact; only a removal needs it.
    meisa_id: str = ""
    #: The values that Meisa will hold once it accepts, by field.
    fields: Fields
    #: The JSON body.
    body: Mapping[str, Value]
    #: Fields that were not in doubt before; a rejection takes them out of doubt again.
    doubted: frozenset[str]
    #: Once it is accepted, whoever is gone and held its address holds nothing any more.
    takes_over: bool = False

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
    #: The contact's tags, from an accepted answer that named them.
    tags: frozenset[str] = frozenset()
    #: Epoch seconds at which Meisa made the contact, where nothing changed it since.
    made_at: float | None = None


def request_for(contact: Contact) -> Request:
    """Return the next request for a contact: identifiers and differences alone.

    An upsert goes before the removal of tags, one a request.
    """
    tag = tags.next_removal(contact)
    if tag:
        return _removal(contact, tag)
    fields = dict(sorted({**contact.riding, **contact.pending}.items()))
    sent = {name: value for name, value in fields.items() if not tags.is_tags(name)}
    added = tags.added(contact)
    if added or TAG_NAMES in fields:
        sent[TAG_NAMES] = tags.listed(added)
    # Nothing is removed by an upsert, so Meisa will hold these tags and what it held.
    fields |= {
        name: tags.listed(tags.names(contact.ledger.get(name, UNSET)) | tags.names(value))
        for name, value in fields.items()
        if tags.is_tags(name)
    }
    if not contact.ledger:
        sent.setdefault(SOURCE, "initial_sync" if contact.first_load else "api")
        fields.pop(SOURCE, None)
    return Request(
        external_id=contact.external_id,
        fields=fields,
        body=payload(contact.external_id, contact.email, sent),
        doubted=frozenset(fields) - contact.in_doubt,
        takes_over=bool(contact.inherits),
    )


def _removal(contact: Contact, tag: str) -> Request:
    fields = {
        name: tags.listed(tags.names(value) - {tag})
        for name, value in contact.ledger.items()
        if name.startswith(TAGS) and tag in tags.names(value)
    }
    return Request(
        kind=REMOVE_TAG,
        external_id=contact.external_id,
        meisa_id=contact.meisa_id,
        fields=fields,
        body={"tag_name": tag},
        doubted=frozenset(fields) - contact.in_doubt,
    )


def intend(contact: Contact, request: Request) -> Contact:
    """Return the contact as it must be stored before the request leaves: its fields in doubt."""
    return replace(contact, in_doubt=contact.in_doubt | frozenset(request.fields))


def judge(request: Request, answer: Answer) -> Outcome:
    """Return what an answer means. Only certain answers are accepted, rejected or untouched."""
    if request.kind == REMOVE_TAG and answer.sent:
        if answer.status == ABSENT and isinstance(answer.body, dict):
            # Meisa itself has no such contact or tag; a wrong address would not answer in JSON.
            return Outcome(kind=Kind.ACCEPTED, code="absent")
        if is_success(answer):
            return Outcome(kind=Kind.ACCEPTED, code="accepted")
    return _judge_success(request, answer) if is_success(answer) else failure(answer)


def is_success(answer: Answer) -> bool:
    """Tell whether an answer's status says that the request was taken."""
    return answer.sent and 200 <= answer.status < 300  # noqa: PLR2004 - success


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
        tags=_tags_in(body),
        made_at=_made_at(body),
    )


def _tags_in(body: Mapping[str, Any]) -> frozenset[str]:
    """Return the names of the tags in an answer, which lists them as names or as objects."""
    found = body.get("tags")
    entries = found if isinstance(found, list) else []
    named = (each.get("name") if isinstance(each, dict) else each for each in entries)
    return frozenset(each for each in named if isinstance(each, str))


def _made_at(body: Mapping[str, Any]) -> float | None:
    made = body.get("created_at")
    if not isinstance(made, str) or made != body.get("updated_at"):
        return None
    try:
        return datetime.fromisoformat(made).timestamp()
    except (ValueError, OverflowError):
        return None


def _is_id(value: object) -> bool:
    return bool(value) and isinstance(value, str | int) and not isinstance(value, bool)


def _normalised(request: Request, body: Mapping[str, Any]) -> dict[str, Value]:
    custom = body.get("custom_fields")
    returned = (
        {f"custom_fields.{k}": v for k, v in custom.items()} if isinstance(custom, dict) else {}
    )
    returned |= {k: v for k, v in body.items() if not tags.is_tags(k)}
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
    if outcome.kind is Kind.ACCEPTED and request.kind == REMOVE_TAG:
        return _untagged(contact, request)
    if outcome.kind is Kind.ACCEPTED:
        return replace(
            _accepted(contact, request, outcome, now), late=_late(contact.late, started, now)
        )
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


def _accepted(contact: Contact, request: Request, outcome: Outcome, now: float) -> Contact:
    fresh = outcome.made_at is not None and abs(now - outcome.made_at) <= FRESH
    stranger = outcome.created or bool(contact.meisa_id and contact.meisa_id != outcome.meisa_id)
    after = replace(
        contact,
        ledger={**contact.ledger, **request.fields},
        in_doubt=contact.in_doubt - frozenset(request.fields),
        meisa_id=outcome.meisa_id,
        quarantine=None,
        inherits=frozenset(),
        ours=_ours(contact, request, new=stranger or (fresh and not contact.meisa_id)),
        tags=outcome.tags,
    )
    lost: Fields = {}
    if stranger and contact.ledger:
        # Meisa no longer had this contact: it holds what the body carried, and nothing else.
        carried = _carried(request)
        lost = {
            name: value
            for name, value in after.ledger.items()
            if name not in carried or not same(value, carried[name])
        }
        after = replace(after, ledger=carried, in_doubt=frozenset())
    pending = {**lost, **_left(after, contact.pending)}
    pending.pop(SOURCE, None)
    return _waiting(after, pending, _left(after, contact.riding))


def _untagged(contact: Contact, request: Request) -> Contact:
    """Return the contact after a tag was removed at Meisa."""
    gone = {str(request.body["tag_name"])}
    after = replace(
        contact,
        ledger={**contact.ledger, **request.fields},
        # Doubt that an upsert left is not over by this.
        in_doubt=contact.in_doubt - request.doubted,
        ours=contact.ours - gone,
        tags=contact.tags - gone,
    )
    return _waiting(after, _left(after, contact.pending), contact.riding)


def _waiting(contact: Contact, pending: Fields, riding: Fields) -> Contact:
    return replace(
        contact,
        pending=pending,
        riding=riding,
        due=contact.due if riding else None,
        rank=contact.rank if pending else None,
        since=contact.since if pending else None,
        novel=contact.novel & pending.keys(),
    )


def _ours(contact: Contact, request: Request, *, new: bool) -> frozenset[str]:
    """Return the tags that are ours after an upsert: those that Meisa did not have before."""
    sent = tags.names(request.body.get(TAG_NAMES))
    if new:
        return sent
    return contact.ours | (sent - contact.tags if contact.meisa_id else frozenset())


def _left(contact: Contact, observed: Fields) -> dict[str, Value]:
    """Return what still differs: it changed while the request was under way."""
    ledger = contact.ledger
    wanted = {name: tags.names(value) for name, value in observed.items() if tags.is_tags(name)}

    def differs(name: str, value: Value) -> bool:
        if name in contact.in_doubt:
            return True
        if not name.startswith(TAGS):
            return name not in ledger or not same(value, ledger[name])
        others = frozenset().union(*(each for other, each in wanted.items() if other != name))
        return tags.differs(name, value, ledger, contact.ours, others)

    return {name: value for name, value in observed.items() if differs(name, value)}


def _carried(request: Request) -> dict[str, Value]:
    """Return the fields as the body had them: always the e-mail, of the tags only the new ones."""
    sent = tags.names(request.body.get(TAG_NAMES))
    return {
        name: tags.listed(tags.names(value) & sent) if tags.is_tags(name) else value
        for name, value in {**request.fields, EMAIL: request.body[EMAIL]}.items()
    }


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
