"""`meisa-cdc capture`: the app database's log of changed rows, set up, looked at, removed."""

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from meisa_cdc.cli.capture_words import (
    done,
    following,
    heading,
    mappings_of,
    problems_of,
    statements_of,
)
from meisa_cdc.cli.command import Group, command
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.source.log_setup import LogSetup
    from meisa_cdc.source.snapshot import DatabaseSnapshot
    from meisa_cdc.wiring import Wiring

FAILED = 1


class By(StrEnum):
    """What keeps a log of changed rows."""

    SLOT = "slot"
    TRIGGERS = "triggers"


Apply = Annotated[
    bool,
    typer.Option(
        "--apply/--print", help="Run the statements, and prove that the log tells what it must."
    ),
]
AllowUnlimitedWal = Annotated[
    bool,
    typer.Option(
        "--allow-unlimited-wal", help="Also where the server lets a slot keep any amount."
    ),
]


@command("meisa-cdc capture setup", "meisa-cdc capture setup --apply")
def setup(
    session: Session,
    *,
    by: Annotated[
        By | None, typer.Option("--by", help="What keeps the log: the server's own, or triggers.")
    ] = None,
    apply: Apply = False,
    allow_unlimited_wal: AllowUnlimitedWal = False,
) -> int:
    """Print the statements that make the database keep a log of changed rows for these mappings.

    Of Postgres, by a publication of the tables that the mappings read, and a slot; with --by
    triggers, and of SQLite, by triggers on these tables that write to tables of ours. With --apply
    they are run by the role of MEISA_CDC_SETUP_URL, or that of the app database where it is not
    set; run again, it goes on from where it stopped, and follows mappings that changed.
    """
    from meisa_cdc.source.log_setup import kept_by, look
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    mappings = list(wiring.mappings().values())
    source = wiring.source()
    seen = look(source, mappings, by or kept_by(source))
    found = seen.problems(unlimited=allow_unlimited_wal)
    steps = seen.steps
    if apply:
        found += seen.lacking_rights(wiring.setup().url)
    document: dict[str, Any] = {
        "name": source.log,
        "by": seen.by,
        "applied": apply and not found,
        "problems": problems_of(found),
        "mappings": mappings_of(seen.needs),
        "statements": statements_of(steps),
    }
    if apply and not found:
        return _apply(session, wiring, mappings, seen, document)
    session.output.json(document)
    for line in heading(str(wiring.settings.require_app_database()), seen, found):
        session.output.text(f"-- {line}" if not apply else line)
    if not apply and (steps or not found):
        _print(session, seen)
    return FAILED if found else 0


def _print(session: Session, seen: "LogSetup") -> None:
    steps = seen.steps
    if not steps:
        session.output.text("-- Nothing is left to do.")
        return
    if seen.preface:
        session.output.text(seen.preface)
    told = ""
    for step in steps:
        if "pg_create_logical_replication_slot" in step.sql:
            session.output.text("\nset lock_timeout = 0;")
        if step.why != told:
            session.output.text(f"\n-- {step.why}")
        session.output.text(step.shown or step.sql)
        told = step.why


def _apply(
    session: Session,
    wiring: "Wiring",
    mappings: "list[Mapping]",
    seen: "LogSetup",
    document: dict[str, Any],
) -> int:
    from meisa_cdc.source.log_setup import proof

    source = wiring.source()
    for step in seen.applied(wiring.setup().url, seen.steps):
        session.output.text(done(step))
    lacking = proof(source, mappings, seen)
    session.output.json({**document, "problems": problems_of(lacking)})
    for each in lacking:
        session.output.text(f"{each.what}. {each.advice}".strip())
    if not lacking:
        session.output.text(f"The log {source.log} tells of what changes in:")
    for line in following(seen.needs):
        session.output.text(line)
    return FAILED if lacking else 0


def _status(session: Session) -> int:
    from meisa_cdc.cli.capture_words import status_document, status_lines
    from meisa_cdc.cli.times import dated
    from meisa_cdc.core.captures import LOG
    from meisa_cdc.source.log_setup import look
    from meisa_cdc.sync.passes import DROPPED
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    mappings = list(wiring.mappings().values())
    source = wiring.source()
    seen = look(source, mappings)
    with source.snapshot() as snapshot:
        captures = _captures(snapshot, mappings)
    with wiring.state_to_read() as state:
        document = status_document(source, seen, captures, state.note(DROPPED))
    session.output.json(dated(document))
    for line in status_lines(document, seen.by):
        session.output.text(line)
    asked = {need.mapping for need in seen.needs if need.asked}
    unmet = [each for each in captures if each["mapping"] in asked and each["capture"] != LOG]
    return FAILED if unmet or document["problems"] else 0


def _captures(snapshot: "DatabaseSnapshot", mappings: "list[Mapping]") -> list[dict[str, Any]]:
    """Return how each mapping's changes are found now."""
    from meisa_cdc.core.errors import MappingError, MappingFailed

    found: list[dict[str, Any]] = []
    for mapping in mappings:
        if not mapping.enabled:
            continue
        try:
            # A query that the database refuses is found in no way at all.
            snapshot.columns(mapping)
            capture = snapshot.capture(mapping)
            kind, why = capture.kind, capture.why
        except (MappingError, MappingFailed) as error:
            kind, why = None, str(error)
        found.append({"mapping": mapping.name, "capture": kind, "reason": why})
    return found


@command("meisa-cdc capture status", "meisa-cdc capture status --format json")
def status(session: Session) -> int:
    """Show the app database's log of changed rows, and which mappings it tells of."""
    return _status(session)


@command("meisa-cdc capture", "meisa-cdc capture setup", "meisa-cdc capture drop")
def shown(session: Session) -> int:
    """Show the app database's log of changed rows, and which mappings it tells of."""
    return _status(session)


@command("meisa-cdc capture drop", "meisa-cdc capture drop --reset-identity")
def drop(
    session: Session,
    *,
    reset_identity: Annotated[
        bool,
        typer.Option(
            "--reset-identity", help="Also take REPLICA IDENTITY FULL from the tables again."
        ),
    ] = False,
) -> int:
    """Remove the log of changed rows: the slot, the publication, triggers and their tables.

    Mappings then find their changes in another way. The statements are run as by `capture setup`.
    """
    from meisa_cdc.source.log_setup import look
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    source = wiring.source()
    seen = look(source, wiring.mappings().values())
    resets = seen.left
    steps = [*seen.removing, *(resets if reset_identity else ())]
    for step in seen.applied(wiring.setup().url, steps):
        session.output.text(done(step))
    left = [] if reset_identity else resets
    session.output.json(
        {
            "name": source.log,
            "statements": statements_of(steps),
            "left": statements_of(left),
        }
    )
    if not steps:
        session.output.text(f"There is no log {source.log}.")
    for step in left:
        session.output.text(f"left  {step.why} To take it back: {step.sql}")
    return 0


capture = Group(default=shown, commands={"setup": setup, "status": status, "drop": drop})
