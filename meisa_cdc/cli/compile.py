"""`meisa-cdc compile`: the SQL that mappings render to."""

from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.selection import selected
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.source.snapshot import AppDatabase


@command("meisa-cdc compile", "meisa-cdc compile contacts/plan")
def compile_(
    session: Session,
    *,
    mapping: Annotated[
        str, typer.Argument(metavar="[MAPPING]", help="Its name, such as contacts/plan.")
    ] = "",
) -> None:
    """Print the SQL that a mapping renders to: in full, for some contacts, and to add up.

    The values that the template puts in are bound, and stand beside the text. How rows are added
    up depends on their types: that part is left out where the database cannot be asked for them.
    """
    from meisa_cdc.core.mapping import ONCE
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    mappings = wiring.mappings()
    source = wiring.source()
    names = sorted(selected(mappings, [mapping] if mapping else None, None))
    summed = _summed(source, [mappings[name] for name in names])
    documents = []
    for name in names:
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
                "checksums": summed[name],
            }
        )
        session.output.text(f"-- {name}, read in full")
        session.output.text(compiled.full)
        if values:
            session.output.text(f"-- values bound, in order: {', '.join(values)}")
        if restricted is not None:
            session.output.text(f"-- {name}, for some contacts alone")
            session.output.text(restricted)
        adding = summed[name]
        if adding:
            session.output.text(f"-- {name}, added up to find what changed")
            session.output.text(adding)
        session.output.text()
    session.output.json({"mappings": documents})


def _summed(source: "AppDatabase", mappings: "list[Mapping]") -> dict[str, str | None]:
    """Return the query that adds up each mapping's rows; None where there is none."""
    from meisa_cdc.core.errors import MappingError, MappingFailed, SourceUnavailable

    found: dict[str, str | None] = dict.fromkeys(mapping.name for mapping in mappings)
    if not any(_adds_up(source, mapping) for mapping in mappings):
        return found
    try:
        with source.snapshot() as snapshot:
            for mapping in mappings:
                with suppress(MappingError, MappingFailed):
                    found[mapping.name] = snapshot.summing(mapping)
    except SourceUnavailable:
        pass
    return found


def _adds_up(source: "AppDatabase", mapping: "Mapping") -> bool:
    from meisa_cdc.core.errors import MappingError

    try:
        return source.capture_of(mapping).kind == "checksum"
    except MappingError:
        return False
