"""`meisa-cdc events`: what happens once and waits for us, or for you to decide."""

from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from meisa_cdc.cli.command import Group, command
from meisa_cdc.cli.selection import Select, selected
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.core.occurrence import Occurrence

USUAL_ROWS = 100
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="Show at most N.")]


def _list(session: Session, limit: int) -> None:
    from meisa_cdc.cli.times import dated
    from meisa_cdc.core.durations import iso
    from meisa_cdc.core.occurrence import OPEN
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_read() as state:
        found = (each for batch in state.occurrences(OPEN) for each in batch)
        documents = [_document(each) for each in islice(found, limit)]
        total = sum(each.count for each in state.occurrence_counts())
    session.output.json({"occurrences": dated(documents), "total": total})
    rows = [
        (
            each["mapping"],
            each["key"],
            each["external_id"] or each["email"],
            each["status"],
            each["blocked"] or each["code"],
            each["message"],
            iso(each["since"]),
        )
        for each in documents
    ]
    output = session.output
    if not rows:
        output.text("Nothing waits.")
        return
    columns = ("mapping", "key", "who", "status", "code", "message", "since")
    output.text(output.table(*columns, rows=rows))
    if total > len(rows):
        output.text(f"… and {total - len(rows)} more (--limit N shows more)")
    if any(each["status"] in ("rejected", "parked") for each in documents):
        output.text(
            "What is parked may have happened: look at Meisa, then "
            "meisa-cdc events resolve KEY --as done (it has) or --as retry (it has not)."
        )


def _document(occurrence: "Occurrence") -> dict[str, Any]:
    return {
        "mapping": occurrence.mapping,
        "key": occurrence.key,
        "external_id": occurrence.external_id or None,
        "email": occurrence.email or None,
        "status": str(occurrence.status),
        "blocked": occurrence.blocked or None,
        "code": occurrence.code or None,
        "message": occurrence.message or None,
        "since": occurrence.since,
        "tried_at": occurrence.tried_at,
        "body": dict(occurrence.body),
    }


@command("meisa-cdc events", "meisa-cdc events --limit 20 --format json")
def listed(session: Session, *, limit: Limit = USUAL_ROWS) -> None:
    """List events, e-mails and enrolments that wait, were rejected or are parked."""
    _list(session, limit)


@command("meisa-cdc events list --limit 20")
def named(session: Session, *, limit: Limit = USUAL_ROWS) -> None:
    """List events, e-mails and enrolments that wait, were rejected or are parked."""
    _list(session, limit)


@command(
    "meisa-cdc events resolve 4711 --as done",
    "meisa-cdc events resolve --select events/signups --as retry",
)
def resolve(
    session: Session,
    *,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY]...", help="event_id, email_id, or 'slug address'."),
    ] = None,
    outcome: Annotated[
        Literal["done", "retry"],
        typer.Option("--as", help="done: it happened, or need not. retry: do it again."),
    ],
    select: Select = None,
) -> int:
    """Settle what was rejected, or parked because nobody knows whether it happened."""
    from meisa_cdc.core.mapping import ONCE, kind_of
    from meisa_cdc.core.occurrence import Status
    from meisa_cdc.wiring import Wiring

    if not keys and not select:
        message = "Name keys, or mappings with --select."
        raise typer.BadParameter(message)
    wiring = Wiring.of(session.settings())
    with wiring.state_to_write() as state:
        known = [name for name in state.mappings() if kind_of(name) in ONCE]
        meant = sorted(selected(known, select, None)) if select else None
        status = Status.DONE if outcome == "done" else Status.WAITING
        count = state.resolve_occurrences(status, keys=keys or None, mappings=meant)
        state.forgive()
    session.output.json({"resolved": count, "as": outcome})
    session.output.text(
        f"{count} {'count as done' if outcome == 'done' else 'are tried again by the next run'}."
    )
    if keys and count < len(keys):
        session.output.warn("some keys name nothing that was rejected or is parked")
    return 0


events = Group(default=listed, commands={"list": named, "resolve": resolve})
