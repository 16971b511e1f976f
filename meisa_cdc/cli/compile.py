"""`meisa-cdc compile`: the SQL that mappings render to."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.affected import document, lines
from meisa_cdc.cli.command import command
from meisa_cdc.cli.selection import selected
from meisa_cdc.cli.session import Session

if TYPE_CHECKING:
    from meisa_cdc.core.captures import Capture
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.source.affected.answers import Derivation
    from meisa_cdc.source.database import AppDatabase


@command("meisa-cdc compile", "meisa-cdc compile contacts/plan")
def compile_(
    session: Session,
    *,
    mapping: Annotated[
        str, typer.Argument(metavar="MAPPING", help="Its name, such as contacts/plan.")
    ] = "",
) -> None:
    """Print the SQL that a mapping renders to: in full, for some contacts, and to add up.

    Above it, how the mapping's changes are found, and why that way. With a watermark, also the SQL
    for the keys of what changed. Then, for each table that it reads: the
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
    asked = _asked(source, [mappings[name] for name in names])
    documents = []
    for name in names:
        compiled = source.compiled(mappings[name])
        # What is done once is always read in full.
        restricted = None if mappings[name].kind in ONCE else compiled.restricted
        values = [str(value) for value in compiled.values]
        derivation = asked.derived.get(name)
        capture = asked.captures.get(name) or source.capture_of(mappings[name])
        texts = {
            "full": compiled.full,
            "restricted": restricted,
            "changed": compiled.changed,
            "checksums": asked.summed.get(name),
        }
        affected = None if derivation is None else document(derivation)
        chosen = {"capture": capture.kind, "capture_reason": capture.why}
        documents.append(
            {"mapping": name, **chosen, **texts, "values": values, "affected": affected}
        )
        session.output.text(f"-- {name}, capture {capture.kind}: {capture.why}")
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


@dataclass(slots=True)
class _Asked:
    """What only the database tells, by mapping; missing where it cannot be asked, or refuses."""

    #: The query that adds up the rows.
    summed: dict[str, str] = field(default_factory=dict)
    #: Whom changed rows affect.
    derived: "dict[str, Derivation]" = field(default_factory=dict)
    #: How changes are found.
    captures: "dict[str, Capture]" = field(default_factory=dict)


def _asked(source: "AppDatabase", mappings: "list[Mapping]") -> _Asked:
    from meisa_cdc.core.errors import MappingError, MappingFailed, SourceUnavailable
    from meisa_cdc.core.mapping import ONCE

    asked = _Asked()
    with suppress(SourceUnavailable), source.snapshot() as snapshot:
        for mapping in mappings:
            with suppress(MappingError, MappingFailed):
                if mapping.kind not in ONCE:
                    asked.derived[mapping.name] = snapshot.derivation(mapping)
                asked.captures[mapping.name] = snapshot.capture(mapping)
                adding = snapshot.summing(mapping)
                if adding is not None:
                    asked.summed[mapping.name] = adding
    return asked
