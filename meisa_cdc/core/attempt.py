"""One try at an occurrence: whether it may start, what its answer means, what comes of it."""

from collections.abc import Collection
from dataclasses import dataclass, replace

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.delivery import ABSENT
from meisa_cdc.core.keys import email_key
from meisa_cdc.core.mapping import EMAILS, EVENTS, SEQUENCES
from meisa_cdc.core.occurrence import Occurrence, Status
from meisa_cdc.core.outcome import BUSY, Answer, Kind, Outcome, failure, is_success

#: Seconds in which Meisa recognises an e-mail that it was asked for before.
REMEMBERED = 3600.0
#: Seconds of it that are not relied upon: a slow request, two clocks that differ.
MARGIN = 300.0
#: Seconds after which a suppression list says nothing about today.
LIST_LASTS = 86400.0
#: Seconds before what is blocked is looked at again: at first, and at the latest.
LOOK_AGAIN = 60.0
LONGEST_LOOK = 900.0
NO_CONTACT, NO_LIST = "no_contact", "no_suppression_list"
SUPPRESSED, NO_ANSWER, TOO_LATE = "suppressed", "no_answer", "too_late"
#: What Meisa answers to an e-mail that it does not send, and need not.
CONDITIONS = "skipped"
#: The other statuses of an answer: those it may have, and some that none of success has.
DOCUMENTED = frozenset({"tracked", "sent", "scheduled"})
FAILURES = frozenset({"error", "failed", "failure"})
#: What an answer about several enrolments may count.
COUNTS = ("enrolled", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the suppression table says of some addresses."""

    #: Epoch seconds of the list it was made from; None where none was ever stored.
    as_of: float | None
    #: Those that must not be e-mailed, case-folded.
    suppressed: Collection[str] = ()


def judge(kind: str, answer: Answer) -> Outcome:
    """Return what the answer to a request for occurrences of this kind means."""
    if is_success(answer):
        return _taken(kind, answer)
    outcome = failure(answer)
    named = kind in (EVENTS, SEQUENCES) and isinstance(answer.body, dict)
    if answer.status == ABSENT and named:
        # These name a contact or a sequence, and it is that which Meisa does not find.
        return replace(outcome, kind=Kind.REJECTED, code=f"rejected_{ABSENT}")
    return outcome


def _taken(kind: str, answer: Answer) -> Outcome:
    body = answer.body if isinstance(answer.body, dict) else {}
    said = body.get("status")
    if kind == SEQUENCES and body:
        counts = [f"{body[name]} {name}" for name in COUNTS if isinstance(body.get(name), int)]
        return Outcome(kind=Kind.ACCEPTED, code="enrolled", message=", ".join(counts))
    if not isinstance(said, str) or said in FAILURES:
        message = answer.error or "the answer is none that the documents show"
        return Outcome(kind=Kind.UNKNOWN, code="not_understood", message=message, attempt=True)
    if kind == EMAILS and said == CONDITIONS:
        reason = body.get("reason")
        message = reason[:300] if isinstance(reason, str) else ""
        return Outcome(kind=Kind.ACCEPTED, code=CONDITIONS, message=message)
    return Outcome(kind=Kind.ACCEPTED, code=said if said in DOCUMENTED else "accepted")


def certain(outcome: Outcome) -> bool:
    """Tell whether Meisa is known to have done nothing."""
    return outcome.untouched or outcome.code == f"http_{BUSY}"


def intended(occurrence: Occurrence, *, now: float, deadline: float) -> Occurrence:
    """Return the occurrence as it must be stored before a request for it leaves."""
    return replace(
        occurrence,
        status=Status.SENT,
        not_before=deadline,
        blocked="",
        tried_at=_first_try(occurrence, now),
    )


def _first_try(occurrence: Occurrence, started: float) -> float:
    return started if occurrence.tried_at is None else occurrence.tried_at


def after(
    occurrence: Occurrence, outcome: Outcome, *, started: float, now: float, again: float
) -> Occurrence:
    """Return what becomes of an occurrence whose request started then and had this outcome.

    `occurrence` is as it was before the request was intended; `again` are the seconds before a
    further try, if there is to be one.
    """
    told = replace(occurrence, blocked="", code=outcome.code, message=outcome.message)
    if outcome.kind is Kind.ACCEPTED:
        return closed(told, Status.SKIPPED if outcome.code == CONDITIONS else Status.DONE)
    if outcome.kind is Kind.REJECTED:
        return replace(told, status=Status.REJECTED, not_before=0.0)
    told = replace(
        told,
        status=Status.WAITING,
        attempts=told.attempts + outcome.attempt,
        not_before=now + again if outcome.attempt else 0.0,
    )
    if certain(outcome):
        return told
    told = replace(told, tried_at=_first_try(occurrence, started))
    return told if may_repeat(told, now) else replace(told, status=Status.PARKED, not_before=0.0)


def unanswered(occurrence: Occurrence, now: float) -> Occurrence:
    """Return what becomes of an occurrence whose request nobody waits for any more."""
    lost = Outcome(kind=Kind.UNKNOWN, code=NO_ANSWER, message="the process ended before an answer")
    return after(occurrence, lost, started=now, now=now, again=0.0)


def may_repeat(occurrence: Occurrence, now: float) -> bool:
    """Tell whether a try is harmless, or wanted, although an earlier one may have succeeded."""
    if occurrence.tried_at is None or occurrence.at_least_once:
        return True
    # A clock that was set back says nothing about how long ago it was.
    return occurrence.kind != EVENTS and 0 <= now - occurrence.tried_at < REMEMBERED - MARGIN


def closed(occurrence: Occurrence, status: Status) -> Occurrence:
    """Return an occurrence that nothing is left to be done about."""
    return replace(occurrence, status=status, body={}, blocked="", not_before=0.0)


def ready(
    occurrence: Occurrence, contact: Contact | None, standing: Standing | None, now: float
) -> Occurrence:
    """Return the occurrence as it is when its turn comes: waiting and not blocked if it may go.

    `contact` is the one an event is about, `standing` that of an e-mail's address; both None
    where there is nothing to know.
    """
    if not may_repeat(occurrence, now):
        return replace(
            occurrence,
            status=Status.PARKED,
            code=TOO_LATE,
            message="an earlier try may have succeeded, and Meisa would not recognise it any more",
        )
    if occurrence.kind == EVENTS and (contact is None or not contact.ledger):
        return _blocked(occurrence, NO_CONTACT, now)
    if occurrence.kind == EMAILS:
        if standing is None or not _is_current(standing, now):
            return _blocked(occurrence, NO_LIST, now)
        if email_key(occurrence.email) in standing.suppressed:
            return replace(
                closed(occurrence, Status.SKIPPED),
                code=SUPPRESSED,
                message="the address must not be e-mailed",
            )
    return replace(occurrence, blocked="")


def _is_current(standing: Standing, now: float) -> bool:
    # A list from the future is one of a clock that was set back, and nobody knows how old.
    return standing.as_of is not None and -MARGIN <= now - standing.as_of <= LIST_LASTS


def _blocked(occurrence: Occurrence, reason: str, now: float) -> Occurrence:
    # The longer it has waited, the less it matters when exactly it is looked at again.
    pause = min(max(LOOK_AGAIN, (now - occurrence.since) / 10), LONGEST_LOOK)
    return replace(occurrence, blocked=reason, not_before=now + pause)
