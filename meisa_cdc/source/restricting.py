"""Reading some contacts of a mapping in the way that the database expects to be the cheapest.

Where a template says where the condition on the keys goes, it goes there. Otherwise it is put
around the query: as one condition, which databases push down to where rows are found, but not
through everything; or by asking the query once for each key. Where neither is cheaper than reading
every row, every row is read, and those of others are left out.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from meisa_cdc.core.contact import KEY_COLUMN
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.query import Bind
from meisa_cdc.source.statements import ALIAS, Approved, Dress, Statement

#: Stands for a key, in a query that is asked once for each.
EACH = "meisa_k"


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How some contacts are read."""

    #: Every row is read.
    whole: bool = False
    #: The type of the key, where the query is asked once for each; "": as one condition.
    each: str = ""


AS_ONE = Way()


def cheapest(
    approved: Approved,
    keys: Sequence[str],
    chunks: int,
    *,
    kind: str,
    cost: Callable[[Statement], float | None],
) -> Way:
    """Return the cheapest way to read so many chunks of contacts like these.

    `kind`: the type of the key, as SQL has it; `cost` asks the database, None: it cannot tell.
    """
    ways = (AS_ONE, Way(each=kind), Way(whole=True))
    found = [
        (each if way.whole else each * chunks, place)
        for place, way in enumerate(ways)
        if (each := cost(statement(approved, keys, way))) is not None
    ]
    return ways[min(found)[1]] if found else AS_ONE


def statement(
    approved: Approved, keys: Sequence[str], way: Way, dress: Dress | None = None
) -> Statement:
    """Return the statement that reads these contacts in some way."""
    if way.whole:
        return approved.statement(dress=dress)
    if not way.each:
        return approved.statement(keys, dress=dress)

    def for_each(text: str, bind: Bind) -> str:
        (key_values,) = approved.dialect.key_values(keys)
        column = f"{ALIAS}.{POSTGRESQL.quoted(KEY_COLUMN)}"
        # Without `offset 0` the planner would make one condition of it again.
        asked = (
            f"select {ALIAS}.* from unnest({bind(key_values)}::{way.each}[]) {EACH} cross join "  # noqa: S608
            f"lateral (select * from (\n{text}\n) {ALIAS} where {column} = {EACH} offset 0) {ALIAS}"
        )
        return asked if dress is None else dress(asked, bind)

    return approved.statement(dress=for_each)
