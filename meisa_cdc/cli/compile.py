"""`meisa-cdc compile`: the SQL that mappings render to."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.affected import document, lines
from meisa_cdc.cli.command import command
from meisa_cdc.cli.selection import selected
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.source.affected.answers import Derivation
    from meisa_cdc.source.snapshot import AppDatabase


@command("meisa-cdc compile", "meisa-cdc compile contacts/plan")
def compile_(
    session: Session,
    *,
    mapping: Annotated[
        str, typer.Argument(metavar="MAPPING", help="Its name, such as contacts/plan.")
    ] = "",
) -> None:
    """Print the SQL that a mapping renders to: in full, for some contacts, and to add up.

    With a watermark, also for the keys of what changed. Then, for each table that it reads: the
    columns, and how the contacts are found that a changed row of it affects. The values that the
    template puts in are bound, and stand beside the text. What depends on types and tables is left
    out where the database cannot be asked for them.
    """
    from meisa_cdc.core.mapping import ONCE
    from meisa_cdc.wiring import Wiring

    wiring = Wiring.of(session.settings())
    mappings = wiring.mappings()
    source = wiring.source()
    names = sorted(selected(mappings, [mapping] if mapping else None, None, option="MAPPING"))
    summed, derived = _asked(source, [mappings[name] for name in names])
    documents = []
    for name in names:
        compiled = source.compiled(mappings[name])
        # What is done once is always read in full.
        restricted = None if mappings[name].kind in ONCE else compiled.restricted
        values = [str(value) for value in compiled.values]
        derivation = derived.get(name)
        texts = {
            "full": compiled.full,
            "restricted": restricted,
            "changed": compiled.changed,
            "checksums": summed.get(name),
        }
        affected = None if derivation is None else document(derivation)
        documents.append({"mapping": name, **texts, "values": values, "affected": affected})
        for line in _lines(name, texts, values):
            session.output.text(line)
        for line in () if derivation is None else lines(name, derivation):
            session.output.text(line)
        session.output.text()
    session.output.json({"mappings": documents})


#: What each text is for.
TITLES = {
    "full": "read in full",
    "restricted": "for some contacts alone",
    "changed": "for the keys of what changed lately",
    "checksums": "added up to find what changed",
}


def _lines(name: str, texts: Dict[str, str | None], values: Sequence[str]) -> Iterator[str]:
    """Yield the texts that there are, the values of all of them below the first."""
    for what, text in texts.items():
        if text is not None:
            yield f"-- {name}, {TITLES[what]}"
            yield text
        if values and what == "full":
            yield f"-- values bound, in order: {', '.join(values)}"


def _asked(
    source: "AppDatabase", mappings: "list[Mapping]"
) -> "tuple[dict[str, str], dict[str, Derivation]]":
    """Return the query that adds up each mapping's rows, and whom changed rows affect.

    Nothing of a mapping where the database cannot be asked, or refuses it.
    """
    from meisa_cdc.core.errors import MappingError, MappingFailed, SourceUnavailable
    from meisa_cdc.core.mapping import ONCE

    summed: dict[str, str] = {}
    derived: dict[str, Derivation] = {}
    with suppress(SourceUnavailable), source.snapshot() as snapshot:
        for mapping in mappings:
            with suppress(MappingError, MappingFailed):
                if mapping.kind not in ONCE:
                    derived[mapping.name] = snapshot.derivation(mapping)
                adding = snapshot.summing(mapping)
                if adding is not None:
                    summed[mapping.name] = adding
    return summed, derived
