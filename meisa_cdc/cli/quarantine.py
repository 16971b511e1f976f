"""`meisa-cdc quarantine`: contacts held back after a rejection."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from meisa_cdc.cli.amounts import amount
from meisa_cdc.cli.command import Group, command
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.ports import State


def _list(session: Session) -> None:
    from meisa_cdc.cli.times import dated
    from meisa_cdc.core.durations import iso
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    contacts: list[dict[str, Any]] = []
    with wiring.state_to_read() as state:
        for batch in state.quarantined():
            contacts.extend(
                {
                    "external_id": contact.external_id,
                    "code": contact.quarantine.code,
                    "message": contact.quarantine.message,
                    "since": contact.quarantine.since,
                }
                for contact in batch
                if contact.quarantine is not None
            )
    session.output.json({"quarantined": dated(contacts)})
    if not contacts:
        session.output.text("No contact is in quarantine.")
        return
    rows = [(c["external_id"], c["code"], c["message"], iso(c["since"])) for c in contacts]
    session.output.text(session.output.table("contact", "code", "Meisa said", "since", rows=rows))
    session.output.text(
        "Each is tried again when its data changes, or with: meisa-cdc quarantine retry"
    )


@command("meisa-cdc quarantine", "meisa-cdc quarantine retry 4711")
def listed(session: Session) -> None:
    """List the contacts that Meisa rejected, each with its reason."""
    _list(session)


@command("meisa-cdc quarantine list --format json")
def named(session: Session) -> None:
    """List the contacts that Meisa rejected, each with its reason."""
    _list(session)


@command("meisa-cdc quarantine retry", "meisa-cdc quarantine retry 4711 4712")
def retry(
    session: Session,
    *,
    contacts: Annotated[
        list[str] | None,
        typer.Argument(metavar="[EXTERNAL_ID]...", help="These alone; all of them without."),
    ] = None,
) -> None:
    """Put quarantined contacts back into the backlog as they are."""
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_write() as state:
        _refuse_others(state, contacts or [])
        count = state.release(contacts or None)
        state.forgive()
    session.output.json({"released": count})
    session.output.text(f"To be tried again by the next run: {amount(count, 'contact')}.")


def _refuse_others(state: "State", contacts: list[str]) -> None:
    known = state.load(contacts)
    for key in contacts:
        if key not in known or known[key].quarantine is None:
            message = f"{key}: not in quarantine. meisa-cdc quarantine lists who is."
            raise typer.BadParameter(message)


quarantine = Group(default=listed, commands={"list": named, "retry": retry})
