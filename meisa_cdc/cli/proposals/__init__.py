"""First mappings, proposed from the tables of an app database. Looks at names and types only."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meisa_cdc.cli.proposals.activity import activity
from meisa_cdc.cli.proposals.identity import identity, people
from meisa_cdc.cli.proposals.subscription import subscription
from meisa_cdc.cli.proposals.tables import Column, ForeignKey, Table
from meisa_cdc.cli.proposals.writing import Draft, Writer

if TYPE_CHECKING:
    from meisa_cdc.source.catalogue import Table as Described

__all__ = ["Column", "ForeignKey", "Proposal", "Table", "propose", "tables_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What a database's tables suggest."""

    #: The table whose rows are contacts.
    people: Table
    #: (path below the mappings folder, text of the file), identity first.
    files: Sequence[tuple[str, str]]
    #: Names of tables that might hold the contacts as well.
    others: Sequence[str] = ()
    #: Names of tables with rows of contacts that got no mapping, there being enough.
    left_out: Sequence[str] = ()


def propose(
    tables: Sequence[Table], *, dialect: str, quote: Callable[[str], str]
) -> Proposal | None:
    """Return mappings for these tables, or None where none looks like the contacts.

    `quote` writes an identifier as the dialect needs it. No column is proposed that is not known
    as one of a customer's life cycle, and none that looks like a secret.
    """
    usable = [table for table in tables if table.usable]
    candidates = people(usable)
    if not candidates:
        return None
    first, *others = candidates
    writer = Writer(dialect=dialect, quote=quote)
    drafts: list[Draft] = [identity(first, writer)]
    taken = {field for draft in drafts for field in draft.fields}
    found = subscription(first, usable, writer, taken)
    if found is not None:
        drafts.append(found)
        taken |= set(found.fields)
    counted, left_out = activity(first, usable, writer, taken)
    drafts += counted
    return Proposal(
        people=first,
        files=[(f"contacts/{draft.name}.sql", draft.text) for draft in drafts],
        others=[table.name for table in others],
        left_out=left_out,
    )


def tables_of(described: Iterable["Described"]) -> list[Table]:
    """Return the tables that the source describes, as a proposal looks at them."""
    return [
        Table(
            name=table.name,
            columns=[Column(name=each.name, family=each.type) for each in table.columns],
            primary_key=[each.name for each in table.columns if each.primary_key],
            foreign_keys=[
                ForeignKey(column=each.name, table=target, target=column)
                for each in table.columns
                if each.references
                for target, _, column in [each.references.rpartition(".")]
            ],
        )
        for table in described
    ]
