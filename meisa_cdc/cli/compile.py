"""`meisa-cdc compile`: the SQL that mappings render to."""

from typing import Annotated

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.selection import selected
from meisa_cdc.cli.session import Session


@command("meisa-cdc compile", "meisa-cdc compile contacts/plan")
def compile_(
    session: Session,
    *,
    mapping: Annotated[
        str, typer.Argument(metavar="[MAPPING]", help="Its name, such as contacts/plan.")
    ] = "",
) -> None:
    """Print the SQL that a mapping renders to, read in full and for some contacts alone.

    The values that the template puts in are bound, and stand beside the text.
    """
    from meisa_cdc.core.mapping import ONCE
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    mappings = wiring.mappings()
    source = wiring.source()
    documents = []
    for name in sorted(selected(mappings, [mapping] if mapping else None, None)):
        compiled = source.compiled(mappings[name])
        # What is done once is always read in full.
        restricted = None if mappings[name].kind in ONCE else compiled.restricted
        values = [str(value) for value in compiled.values]
        documents.append(
            {
                "mapping": name,
                "full": compiled.full,
                "restricted": restricted,
                "values": values,
            }
        )
        session.output.text(f"-- {name}, read in full")
        session.output.text(compiled.full)
        if values:
            session.output.text(f"-- values bound, in order: {', '.join(values)}")
        if restricted is not None:
            session.output.text(f"-- {name}, for some contacts alone")
            session.output.text(restricted)
        session.output.text()
    session.output.json({"mappings": documents})
