"""`meisa-cdc sync`: one run."""

import math
from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meisa_cdc.cli.amounts import amount
from meisa_cdc.cli.command import command
from meisa_cdc.cli.interrupts import Interrupts
from meisa_cdc.cli.output import Steps
from meisa_cdc.cli.selection import Exclude, Select, selected
from meisa_cdc.cli.session import Session
from meisa_cdc.core.occurrence import Status

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from meisa_cdc.core.budget import Window
    from meisa_cdc.core.plan import Plan
    from meisa_cdc.ports import State, SuppressionResult
    from meisa_cdc.sync.once import Limits, Ran
    from meisa_cdc.sync.scopes import Lack
    from meisa_cdc.wiring.remote import KeyTerms, Remote

FAILED = 1
HELD = 3
INVALID = 4
INTERRUPTED = 130
#: Seconds between two looks at how long it will take.
OUTLOOK_EVERY = 2.0


@command(
    "meisa-cdc sync",
    "meisa-cdc sync --approve 3f9a…",
    "meisa-cdc sync --no-wait --max-requests 100",
)
def sync(
    session: Session,
    *,
    select: Select = None,
    exclude: Exclude = None,
    approve: Annotated[
        str, typer.Option(metavar="DIGEST", help="Also send what the plan with this digest holds.")
    ] = "",
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Stop when the request budget is spent.")
    ] = False,
    max_requests: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Deliver at most N contacts.")
    ] = None,
    max_time: Annotated[
        str | None, typer.Option(metavar="D", help="Stop after this time, such as 30m.")
    ] = None,
) -> int:
    """Pull suppressions, look at the app database, and deliver what changed."""
    from meisa_cdc.core.durations import duration
    from meisa_cdc.sync.once import Limits

    try:
        seconds = None if max_time is None else duration(max_time)
    except ValueError as error:
        raise typer.BadParameter(f"--max-time {error}") from None
    limits = Limits(no_wait=no_wait, requests=max_requests, seconds=seconds)
    return _run(session, limits, approve, select, exclude)


def _run(
    session: Session,
    limits: "Limits",
    approve: str,
    select: list[str] | None,
    exclude: list[str] | None,
) -> int:
    from meisa_cdc.sync.once import Run, all_due
    from meisa_cdc.wiring import Remote, Wiring, recorded

    wiring = Wiring.of(session.settings())
    meisa = wiring.meisa()
    mappings = wiring.mappings()
    names = selected([n for n, m in mappings.items() if m.enabled], select, exclude)
    with ExitStack() as stack:
        interrupts = stack.enter_context(Interrupts(wiring.clock.stop))
        state = stack.enter_context(wiring.state_to_lead("sync"))
        # Closed before the lease is given up: threads still asking then end at once.
        stack.callback(meisa.close)
        recording = stack.enter_context(recorded(state, wiring.clock, "sync"))
        remote = Remote(wiring=wiring, state=state, meisa=meisa)
        terms = remote.terms(mappings[name] for name in names)
        _tell_lacks(session, terms.lacks)
        windows = terms.windows
        remote.tidy()
        pulled, problem = _pulled(remote, terms)
        passes = wiring.passes(state, windows, mappings)
        steps = stack.enter_context(session.output.progress("delivering"))
        run = Run(
            passes=passes,
            push=wiring.push(state, meisa, windows, terms.lacks),
            clock=wiring.clock,
            aside=wiring.aside(),
            every=wiring.settings.schedule.every,
            due=all_due(passes, names),
            stopping=wiring.clock.stop.is_set,
            limits=limits,
            graceful=interrupts.graceful,
            progress=_progress(steps, state, windows, wiring.clock.now),
            failures=[problem] if problem else [],
        )
        ran = run.run(approve=approve, planned=lambda plan: _announce(steps, plan))
        code = exit_code(ran, releases_held=pulled is not None and pulled.held > 0)
        document = sync_document(recording.id, ran, pulled, state)
        recording.exit_code, recording.result = code, document
    session.output.json(document)
    _show(session, ran, document)
    return code


def _tell_lacks(session: Session, lacks: "Sequence[Lack]") -> None:
    """Tell what the key may not do; raise Stop where that are contacts."""
    from meisa_cdc.core.errors import Stop
    from meisa_cdc.sync.scopes import ADVICE, WRITE, lack_of

    unable = lack_of(WRITE, lacks)
    if unable is not None:
        raise Stop(f"{unable} Nothing was sent.", hint=ADVICE)
    for lack in lacks:
        session.output.warn(str(lack))


def _pulled(remote: "Remote", terms: "KeyTerms") -> "tuple[SuppressionResult | None, str]":
    """Pull the suppression list, if the key may; return what came of it, and a problem or ''."""
    from meisa_cdc.sync.scopes import ADVICE, READ, lack_of

    unable = lack_of(READ, terms.lacks)
    return remote.pull(terms.windows) if unable is None else (None, f"{unable} {ADVICE}")


def _progress(
    steps: Steps, state: "State", windows: "Sequence[Window]", now: "Callable[[], float]"
) -> "Callable[[int], None]":
    """Return what moves the bar, and now and then says how long what is left takes."""
    from meisa_cdc.sync.status import outlook

    told = -math.inf

    def reach(done: int) -> None:
        nonlocal told
        text = None
        if steps.seen and not 0 <= now() - told < OUTLOOK_EVERY:
            told = now()
            text = outlook(state, windows, now=told)
        steps.reach(done, outlook=text)

    return reach


def _announce(steps: Steps, plan: "Plan") -> None:
    steps.reach(0, plan.summary.requests)


def exit_code(ran: "Ran", *, releases_held: bool) -> int:
    """Return the exit code of a run, the first that applies."""
    if ran.interrupted:
        return INTERRUPTED
    if ran.failures:
        return FAILED
    if ran.held or releases_held:
        return HELD
    once = ran.occurrences.get(Status.REJECTED) or ran.occurrences.get(Status.PARKED)
    return INVALID if ran.invalid or ran.rejected or once else 0


def sync_document(
    number: int, ran: "Ran", pulled: "SuppressionResult | None", state: Any
) -> dict[str, Any]:
    """Return the JSON document of a run."""
    from meisa_cdc.core.durations import iso
    from meisa_cdc.core.plan import guard_document

    counts = state.counts()
    summary = ran.plan.summary
    return {
        "run_id": number,
        "plan": {
            "digest": ran.plan.digest,
            "create": summary.create,
            "update": summary.update,
            "unchanged": summary.unchanged,
            "invalid": summary.invalid,
            "requests": summary.requests,
        },
        "delivered": ran.accepted,
        "rejected": ran.rejected,
        "deferred": ran.deferred,
        "unknown": ran.unknown,
        "requests": ran.requests,
        "backlog": sum(counts.backlog.values()),
        "occurrences": {
            **{
                str(status): ran.occurrences.get(status, 0)
                for status in (Status.DONE, Status.SKIPPED, Status.REJECTED, Status.PARKED)
            },
            "waiting": sum(
                each.count
                for each in state.occurrence_counts()
                if each.status in (Status.WAITING, Status.SENT)
            ),
        },
        "quarantined": counts.quarantined,
        "guard": guard_document(ran.held),
        "failures": list(ran.failures),
        "suppressions": None
        if pulled is None
        else {
            "count": pulled.count,
            "added": pulled.added,
            "released": pulled.released,
            "held": pulled.held,
            "digest": pulled.digest or None,
            "as_of": iso(pulled.as_of),
        },
    }


def _show(session: Session, ran: "Ran", document: dict[str, Any]) -> None:
    from meisa_cdc.cli import showing
    from meisa_cdc.core.plan import digest_of

    output, summary = session.output, ran.plan.summary
    about_contacts = summary.requests - sum(each.requests for each in ran.plan.occurrences)
    output.text(
        f"Delivered {ran.accepted} of {about_contacts} with {amount(ran.requests, 'request')} in "
        f"all; {amount(document['backlog'], 'contact')} still waiting."
    )
    once = document["occurrences"]
    if any(once.values()):
        told = ", ".join(f"{count} {status}" for status, count in once.items() if count)
        output.text(f"Events, e-mails and enrolments: {told}.")
    for count, what in (
        (once["rejected"] + once["parked"], "for you to decide, see: meisa-cdc events"),
        (ran.rejected, "rejected by Meisa, see: meisa-cdc quarantine"),
        (ran.deferred, "put off by Meisa"),
        (ran.unknown, "without a certain answer, sent again by the next run"),
        (ran.invalid, "invalid rows or fields, see: meisa-cdc plan"),
        (document["quarantined"], "contacts in quarantine"),
    ):
        if count:
            output.text(f"{count} {what}.")
    pulled = document["suppressions"]
    if pulled is not None:
        output.text(
            f"Suppressed addresses: {pulled['count']} "
            f"({pulled['added']} new, {pulled['released']} released)."
        )
        if pulled["held"]:
            output.text(
                f"HELD {pulled['held']} releases. If they are right: "
                f"meisa-cdc suppressions --approve {pulled['digest']}"
            )
    if ran.plan.not_enabled:
        output.text(f"Not enabled (emails.enabled): {', '.join(ran.plan.not_enabled)}.")
    for message in ran.failures:
        output.text(f"FAILED {message}")
    for line in showing.hold_lines(ran.held, digest_of(ran.held, "")):
        output.text(line)
