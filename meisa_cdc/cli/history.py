"""`meisa-cdc history`: runs and deliveries on record."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.files import written
from meisa_cdc.cli.session import Session

USUAL_ROWS = 20
MOST_TOLD = 12


@command(
    "meisa-cdc history",
    "meisa-cdc history --contact 4711 --since 7d",
    "meisa-cdc history --since 30d --export > deliveries.jsonl",
)
def history(
    session: Session,
    *,
    contact: Annotated[
        str, typer.Option(metavar="EXTERNAL_ID", help="Only this contact's deliveries.")
    ] = "",
    since: Annotated[
        str, typer.Option(metavar="D", help="Only what started within this time.")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most N of each.")] = USUAL_ROWS,
    export: Annotated[
        bool, typer.Option("--export", help="Print every delivery as JSON lines instead.")
    ] = False,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="With --export: write them to a file.")
    ] = None,
) -> None:
    """Show the newest runs and deliveries."""
    from meisa_cdc.cli.show import delivery_document
    from meisa_cdc.cli.times import dated
    from meisa_cdc.sync.status import run_document
    from meisa_cdc.wiring import Wiring

    if out is not None and not export:
        message = "--out goes with --export."
        raise typer.BadParameter(message)
    wiring = Wiring.of(session.settings())
    start = _start(since, wiring.clock.now())
    with wiring.state_to_read() as state:
        if export:
            every = state.deliveries(external_id=contact, since=start)
            _export(session, out, (dated(delivery_document(each)) for each in every))
            return
        runs = [run_document(run) for run in state.runs(limit) if run.started_at >= start]
        deliveries = [
            delivery_document(each)
            for each in state.deliveries(external_id=contact, since=start, most=limit)
        ]
    session.output.json(dated({"runs": [] if contact else runs, "deliveries": deliveries}))
    _show(session, [] if contact else runs, deliveries)


def _start(since: str, now: float) -> float:
    from meisa_cdc.core.durations import duration

    try:
        return now - duration(since) if since else 0.0
    except ValueError as error:
        raise typer.BadParameter(f"--since: {error}") from None


def _export(session: Session, file: Path | None, documents: Iterable[Any]) -> None:
    lines = (json.dumps(document, ensure_ascii=False) + "\n" for document in documents)
    if file is not None:
        with written(file) as write:
            for line in lines:
                write(line)
        return
    for line in lines:
        session.output.raw(line)


def _told(fields: list[str]) -> str:
    """Return what a request carried; one can enrol many addresses."""
    more = len(fields) - MOST_TOLD
    return ", ".join(fields[:MOST_TOLD]) + (f" and {more} more" if more > 0 else "")


def _show(session: Session, runs: list[dict[str, Any]], deliveries: list[dict[str, Any]]) -> None:
    from meisa_cdc.core.durations import iso

    output = session.output
    rows = [
        (
            run["run_id"],
            run["command"],
            iso(run["started_at"]),
            "" if run["exit_code"] is None else run["exit_code"],
            run["result"].get("delivered", ""),
        )
        for run in runs
    ]
    if rows:
        output.text(output.table("run", "command", "started", "exit", "delivered", rows=rows))
    sent = [
        (
            iso(each["started_at"]),
            each["external_id"] or each["kind"],
            each["code"] or "under way",
            _told(each["fields"]),
            each["message"] or "",
        )
        for each in deliveries
    ]
    if sent:
        output.text(output.table("started", "contact", "outcome", "fields", "message", rows=sent))
    if not rows and not sent:
        output.text("Nothing is on record.")
