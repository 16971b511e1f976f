"""How whom a changed row affects is shown, to people and to programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from meisa_cdc.source.affected.answers import Derivation, TableRead


def document(derivation: "Derivation") -> dict[str, object]:
    """Return a derivation for programs."""
    return {
        "tables": [_table(table) for table in derivation.tables],
        "scan": derivation.scan is not None,
        "unsteady": list(derivation.unsteady),
    }


def _table(table: "TableRead") -> dict[str, object]:
    from meisa_cdc.source.affected.answers import FullScan, KeyColumns

    answer = table.answer
    found: dict[str, object] = dict.fromkeys(("key_columns", "query", "reason", "advice"))
    if isinstance(answer, FullScan):
        found |= {"found_by": "full_scan", "reason": answer.reason, "advice": answer.advice}
    elif isinstance(answer, KeyColumns):
        found |= {"found_by": "key_columns", "key_columns": list(answer.columns)}
    else:
        found |= {"found_by": "query", "query": answer.text}
    return {"table": table.table, "columns": list(table.columns), **found}


def lines(name: str, derivation: "Derivation") -> Iterator[str]:
    """Yield the lines about a derivation for people."""
    from meisa_cdc.source.affected.answers import FullScan, KeyColumns

    yield f"-- {name}, whom a changed row affects"
    if derivation.scan is not None:
        yield f"-- anybody, since {derivation.scan.reason}. {derivation.scan.advice}"
        return
    for table in derivation.tables:
        answer = table.answer
        read = f"-- {table.table} ({', '.join(table.columns) or 'whether there are rows'})"
        if isinstance(answer, FullScan):
            yield f"{read}: anybody, since {answer.reason}. {answer.advice}"
        elif isinstance(answer, KeyColumns):
            yield f"{read}: who stands in {' or '.join(answer.columns)}, before or after"
        else:
            yield f"{read}: who is found by"
            yield answer.text
    if derivation.unsteady:
        names = ", ".join(derivation.unsteady)
        yield f"-- and it has to be read in full on schedule, for what changes of itself: {names}"
