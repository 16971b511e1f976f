"""How a mapping's changes are found, and why that way."""

import re
from dataclasses import dataclass

from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import ONCE, Mapping
from meisa_cdc.source.dialects import MYSQL, POSTGRESQL, SQLITE
from meisa_cdc.source.forbidden import HARMLESS
from meisa_cdc.source.statements import Approved

SCAN, CHECKSUM, WATERMARK = "scan", "checksum", "watermark"
_TIMES = "current_timestamp current_date current_time localtime localtimestamp"
#: Names, with or without parentheses, that yield something else in the next statement.
_UNSTEADY = {
    POSTGRESQL: sorted({*HARMLESS, "statement_timestamp", "tablesample"}),
    MYSQL: f"""
        {_TIMES} now sysdate curdate curtime utc_date utc_time utc_timestamp unix_timestamp
        rand random_bytes uuid uuid_short sys_guid
    """.split(),
}
_PATTERNS = {
    dialect.name: re.compile(rf"\b({'|'.join(names)})\b|(?<!@)(@)(?!@)", re.IGNORECASE)
    if dialect is MYSQL
    else re.compile(rf"\b({'|'.join(names)})\b", re.IGNORECASE)
    for dialect, names in _UNSTEADY.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How a mapping's changes are found."""

    #: SCAN, CHECKSUM or WATERMARK.
    kind: str
    #: For people.
    why: str


def capture_of(approved: Approved) -> Capture:
    """Return how the changes of a mapping are found.

    Raises MappingError where its author asks for what cannot be.
    """
    mapping = approved.mapping
    if mapping.kind in ONCE:
        return Capture(kind=SCAN, why="each of its rows is done once")
    if mapping.capture == SCAN:
        return Capture(kind=SCAN, why="as its config says")
    if mapping.capture == WATERMARK:
        if not approved.query.dated:
            raise _undated(mapping)
        return Capture(kind=WATERMARK, why="as its config says")
    if approved.dialect is SQLITE:
        return Capture(kind=SCAN, why="SQLite cannot add up rows faster than they are read")
    name = _unsteady(approved)
    if not name:
        asked = mapping.capture == CHECKSUM
        why = "as its config says" if asked else "the database adds up its rows"
        return Capture(kind=CHECKSUM, why=why)
    if mapping.capture == CHECKSUM:
        raise _refused(mapping, name)
    return Capture(kind=SCAN, why=f"{name} yields something else each time")


def _unsteady(approved: Approved) -> str:
    """Return a name in the query for something that differs between two statements."""
    pattern = _PATTERNS[approved.dialect.name]
    found = pattern.search(approved.statement().text)
    return "" if found is None else found.group().lower()


def _undated(mapping: Mapping) -> MappingError:
    return MappingError(
        "capture='watermark' cannot be, since nothing says when a row changed",
        mapping=mapping.name,
        hint="Write {{ changed_since('u.updated_at') }} where a condition may stand.",
    )


def _refused(mapping: Mapping, name: str) -> MappingError:
    return MappingError(
        f"capture='checksum' cannot be, since {name} yields something else each time",
        mapping=mapping.name,
        hint="Use capture='auto' or 'scan', or remove it from the query.",
    )
