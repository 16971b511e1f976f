"""An answer -> an outcome, and what it does to the contact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
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
from meisa_cdc.core.outcome import (
    IDENTITY_MISMATCH,
    Answer,
    Kind,
    Outcome,
    failure,
    is_success,
)
from meisa_cdc.core.values import Value, email_key, fingerprint, same

#: Kinds of requests.
UPSERT = "upsert"
REMOVE_TAG = "remove_tag"
ABSENT = 404
#: A contact that is at most that many seconds old, by two clocks, came with the request.
FRESH = 300.0
#: Somebody in between gave up waiting; what we asked for may still happen.
GIVEN_UP = frozenset({"http_408", "http_502", "http_504"})
#: Seconds after which a request that was given up is taken to have been carried out or lost.
SETTLES = 600.0


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
