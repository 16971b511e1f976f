"""`meisa-cdc plan`: the dry run."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.files import written
from meisa_cdc.cli.output import Format
from meisa_cdc.cli.selection import Exclude, Select, selected
from meisa_cdc.cli.session import Session
from meisa_cdc.core.durations import iso

if TYPE_CHECKING:
    from meisa_cdc.core.plan import Plan
    from meisa_cdc.sync.passes import Look

#: Rows that the text shows unless --limit says otherwise.
USUAL_ROWS = 20
PENDING = 2
HELD = 3
INVALID = 4


@command(
    "meisa-cdc plan",
    "meisa-cdc plan --select contacts/plan --limit 5",
    "meisa-cdc plan --format json --out plan.json",
)
def plan(
    session: Session,
    *,
    select: Select = None,
    exclude: Exclude = None,
    detailed_exitcode: Annotated[
        bool, typer.Option("--detailed-exitcode", help="End with 2 where changes are pending.")
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Show at most N contacts.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write the plan as JSON to a file.")
    ] = None,
) -> int:
    """Show what the next run would send, and send nothing.

    The app database is read in one read-only snapshot. Our own state is read, never written, and
    Meisa is not called.
    """
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_read() as state:
        passes = wiring.passes(state, wiring.windows(state))
        due = selected(_enabled(passes.mappings), select, exclude)
        with passes.look(due, whole=True) as look:
            if out is not None:
                with written(out) as write:
                    write_document(look, write, limit)
            if session.output.format is Format.JSON:
                write_document(look, session.output.raw, limit)
            else:
                _show(session, look, USUAL_ROWS if limit is None else limit)
            return exit_code(look.plan, detailed=detailed_exitcode)


def _enabled(mappings: Any) -> list[str]:
    return [name for name, mapping in mappings.items() if mapping.enabled]


def exit_code(plan: "Plan", *, detailed: bool) -> int:
    """Return the exit code of a plan, the gravest first."""
    if plan.failures:
        return 1
    if plan.holds:
        return HELD
    if plan.invalid_rows:
        return INVALID
    return PENDING if detailed and plan.summary.requests else 0


def _show(session: Session, look: "Look", limit: int) -> None:
    from meisa_cdc.cli import showing

    output = session.output
    _show_rows(session, look, limit)
    for line in showing.summary_lines(look.plan):
        output.text(line)
    for line in showing.failure_lines(dict(look.plan.failures), look.plan.waiting):
        output.text(line)
    for line in showing.hold_lines(look.plan.holds, look.plan.digest):
        output.text(line)
    if not look.plan.holds:
        output.text(f"Digest: {look.plan.digest}")


def _show_rows(session: Session, look: "Look", limit: int) -> None:
    from meisa_cdc.cli import showing

    output = session.output
    shown = listed = 0
    for comparison in islice(look.changes(), limit):
        shown += 1
        for line in showing.change_lines(comparison):
            output.text(line)
    if look.plan.summary.changes > shown:
        output.text(f"  … and {look.plan.summary.changes - shown} more (--limit N shows more)")
    shown += _show_occurrences(session, look, limit)
    # Looking for them means going through all contacts once more.
    invalid_rows = look.invalid() if look.plan.invalid_rows else ()
    for invalid in islice(invalid_rows, max(limit, 1)):
        listed += 1
        output.text(showing.invalid_line(invalid))
    if look.plan.invalid_rows > listed:
        output.text(f"  … and {look.plan.invalid_rows - listed} more that cannot be used")
    if shown or listed:
        output.text()


def _show_occurrences(session: Session, look: "Look", limit: int) -> int:
    from meisa_cdc.cli import showing

    held = {hold.mapping for hold in look.plan.holds}
    shown = 0
    for each in islice(look.occurrences(), limit):
        shown += 1
        is_held = each.ref is None and each.mapping in held
        session.output.text(showing.occurrence_line(each, held=is_held))
    left = sum(each.new + each.waiting for each in look.plan.occurrences) - shown
    if left > 0:
        session.output.text(f"  … and {left} more that happen once (--limit N shows more)")
    return shown


def write_document(look: "Look", write: Callable[[str], object], limit: int | None) -> None:
    """Write the plan as one JSON document, a contact at a time."""
    from meisa_cdc.cli.showing import priority_of
    from meisa_cdc.core.arrivals import occurrence_document
    from meisa_cdc.core.plan import change_document, invalid_document

    head = plan_document(look.plan)
    once = sum(each.new + each.waiting for each in look.plan.occurrences)
    most = max(look.plan.summary.changes, once, look.plan.invalid_rows)
    if limit is not None and most > limit:
        head["truncated"] = True
    write(json.dumps(head, ensure_ascii=False)[:-1])
    write(', "changes": [')
    changes = (change_document(each, priority_of(each)) for each in look.changes())
    _write_items(write, islice(changes, limit))
    write('], "occurrences": [')
    held = {hold.mapping for hold in look.plan.holds}
    occurrences = (
        occurrence_document(each, held=each.ref is None and each.mapping in held)
        for each in look.occurrences()
    )
    _write_items(write, islice(occurrences, limit))
    write('], "invalid": [')
    invalid = look.invalid() if look.plan.invalid_rows else ()
    _write_items(write, islice(map(invalid_document, invalid), limit))
    write("]}\n")


def _write_items(write: Callable[[str], object], items: Iterable[dict[str, Any]]) -> None:
    for place, item in enumerate(items):
        write((", " if place else "") + json.dumps(item, ensure_ascii=False))


def plan_document(plan: "Plan") -> dict[str, Any]:
    """Return a plan's figures as they stand in its JSON document."""
    from meisa_cdc.core.plan import guard_document

    return {
        "digest": plan.digest,
        "summary": asdict(plan.summary),
        "cost": {"by_field": dict(plan.cost.by_field), "sole": dict(plan.cost.sole)},
        "forecast": {"seconds": plan.forecast.seconds, "done_at": iso(plan.forecast.done_at)},
        "guard": guard_document(plan.holds),
        "failures": dict(plan.failures),
        "unmapped": list(plan.unmapped),
        "waiting": plan.waiting,
        "arrivals": [asdict(each) for each in plan.occurrences],
        "not_enabled": list(plan.not_enabled),
    }
