"""`meisa-cdc resync`: send again what Meisa acknowledged."""

from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.amounts import amount
from meisa_cdc.cli.baseline import Fields, fields_named, known_fields
from meisa_cdc.cli.command import command
from meisa_cdc.cli.selection import Exclude, Select, selected
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.ports import State


@command("meisa-cdc resync --contact 4711", "meisa-cdc resync --field custom_fields.plan")
def resync(
    session: Session,
    *,
    select: Select = None,
    exclude: Exclude = None,
    fields: Fields = None,
    contacts: Annotated[
        list[str] | None,
        typer.Option("--contact", metavar="EXTERNAL_ID", help="Only this contact. Repeatable."),
    ] = None,
) -> None:
    """Mark fields as in doubt, so that they are sent again in the background.

    For when something else wrote to Meisa, and what the ledger says is no longer true.
    """
    from meisa_cdc.sync.overrides import fields_of, resync as mark
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    with wiring.state_to_lead("resync") as state:
        chosen = fields_named(fields, known_fields(state, {}))
        _refuse_unknown(state, contacts)
        if select or exclude:
            records = state.mappings()
            names = selected(records, select, exclude)
            of_mappings = fields_of(records[name] for name in names)
            chosen = of_mappings if chosen is None else chosen & of_mappings
        count = mark(state, wiring.clock, fields=chosen, contacts=contacts)
    session.output.json({"contacts": count})
    session.output.text(
        f"To be sent again by the next run, in the background: {amount(count, 'contact')}."
    )


def _refuse_unknown(state: "State", contacts: list[str] | None) -> None:
    unknown = sorted(set(contacts or ()) - set(state.load(contacts or ())))
    if unknown:
        message = f"--contact {unknown[0]}: no such contact is on record."
        raise typer.BadParameter(message)
