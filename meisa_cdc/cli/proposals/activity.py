"""What someone did: rows of other tables that point at a contact, counted and dated."""

import re
from collections.abc import Collection, Sequence

from meisa_cdc.cli.proposals.identity import DATES
from meisa_cdc.cli.proposals.tables import Column, Table
from meisa_cdc.cli.proposals.writing import Draft, Writer, selected

#: A contact's tables beyond these are named, not mapped: each mapping costs requests.
MOST = 5
#: Rows that are worth a request when they appear.
SALES = frozenset({"booking", "invoice", "order", "payment", "purchase", "sale", "transaction"})
#: Rows that say nothing of a contact's life cycle.
IGNORED = re.compile(
    r"audit|authentication|device|identity|job|log|migration|notification|permission|preference"
    r"|profile|role|session|setting|subscription"
)
AMOUNTS = (
    *("total", "total_amount", "grand_total", "amount", "total_price"),
    *("total_cents", "amount_cents", "price"),
)
WHEN = (
    *("created_at", "occurred_at", "placed_at", "paid_at", "issued_at", "inserted_at"),
    *("date", "created_on", "created", "at"),
)


def activity(
    people: Table, tables: Sequence[Table], writer: Writer, taken: Collection[str]
) -> tuple[list[Draft], list[str]]:
    """Return one mapping a table that points at the contacts, and the tables left out."""
    pointing = [table for table in tables if table.link_to(people) and _tells(table)]
    pointing.sort(key=lambda table: (not SALES & set(table.noun.split("_")), table.name))
    drafts: list[Draft] = []
    for table in pointing[:MOST]:
        draft = _counted(people, table, writer)
        if not set(draft.fields) & set(taken) and draft.name not in {each.name for each in drafts}:
            drafts.append(draft)
    return drafts, [table.name for table in pointing[MOST:]]


def _tells(table: Table) -> bool:
    joins_two = len(table.primary_key) > 1 and len(table.columns) == len(table.primary_key)
    return not joins_two and not any(map(IGNORED.fullmatch, table.noun.split("_")))


def _counted(people: Table, table: Table, writer: Writer) -> Draft:
    link, noun = table.link_to(people), table.noun
    key = writer.column("r", link)
    expressions = {"external_id": key, f"{noun}_count": "count(*)"}
    declared = {f"{noun}_count": "{'type': 'integer', 'missing': 0}"}
    amount = table.find(AMOUNTS, ("integer", "number"))
    if amount is not None:
        cents = "_cents" if amount.known_as.endswith("_cents") else ""
        expressions[f"{noun}_total{cents}"] = writer.total("r", amount)
        declared[f"{noun}_total{cents}"] = "{'type': 'number', 'missing': 0}"
    when = _when(table)
    if when is not None:
        column = writer.column("r", when.name)
        ending = "on" if when.family == "date" else "at"
        expressions[f"first_{noun}_{ending}"] = f"min({column})"
        expressions[f"last_{noun}_{ending}"] = f"max({column})"
        for each in ("first", "last"):
            declared[f"{each}_{noun}_{ending}"] = f"{{'type': '{when.family}'}}"
    sale = bool(SALES & set(noun.split("_")))
    text = writer.mapping(
        f"What the rows of {table.name} say of someone. Each change costs a request: remove what "
        "no automation needs.",
        {"every": "'1h'"} if sale else {"every": "'1d'", "priority": "'background'"},
        declared,
        "select",
        *selected(expressions),
        f"from {writer.table(table, 'r')}",
        f"where {key} is not null and {writer.only('r', link)}",
        f"group by {key}",
    )
    return Draft(name=noun, text=text, fields=[*expressions][1:])


def _when(table: Table) -> Column | None:
    own = (f"{table.noun}_date", f"{table.noun}_at", f"{table.noun}ed_at", f"{table.noun}d_at")
    return table.find((*own, *WHEN), DATES)
