"""How a mapping's changes are found, and why that way."""

import re
from collections.abc import Callable

from meisa_cdc.core.captures import AUTO, CHECKSUM, LOG, SCAN, WATERMARK, Capture
from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import ONCE, Mapping
from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.dialects import MYSQL, POSTGRESQL, SQLITE
from meisa_cdc.source.following import NO_LOG
from meisa_cdc.source.forbidden import HARMLESS
from meisa_cdc.source.statements import Approved

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


def may_follow(mapping: Mapping) -> bool:
    """Tell whether a mapping's changes may be found by a log of changed rows."""
    return mapping.kind not in ONCE and mapping.capture in (AUTO, LOG)


def capture_of(
    approved: Approved, unfollowed: Callable[[Approved], FullScan | None] | None = None
) -> Capture:
    """Return how the changes of a mapping are found.

    `unfollowed` tells why a log does not tell of all of them; where nobody asks the database, its
    author is believed. Raises MappingError where they ask for what cannot be.
    """
    if not may_follow(approved.mapping):
        return _without_log(approved)
    asked = approved.mapping.capture == LOG
    if unfollowed is None:
        given = Capture(kind=LOG, why="as its config says")
        return given if asked else _summed_or_scanned(approved)
    scan = unfollowed(approved)
    if scan is None:
        why = "as its config says" if asked else "the database keeps a log of changed rows"
        return Capture(kind=LOG, why=why)
    found = _summed_or_scanned(approved)
    if asked:
        why = f"its config says log, but {scan.reason}. {scan.advice}".strip()
        return Capture(kind=found.kind, why=why)
    if scan in NO_LOG:
        return found
    why = f"{found.why}; the log of changed rows does not help, since {scan.reason}"
    return Capture(kind=found.kind, why=why)


def _without_log(approved: Approved) -> Capture:
    mapping = approved.mapping
    if mapping.kind in ONCE:
        return Capture(kind=SCAN, why="each of its rows is done once")
    if mapping.capture == SCAN:
        return Capture(kind=SCAN, why="as its config says")
    if mapping.capture != WATERMARK:
        return _summed_or_scanned(approved)
    if not approved.query.dated:
        raise _undated(mapping)
    return Capture(kind=WATERMARK, why="as its config says")


def _summed_or_scanned(approved: Approved) -> Capture:
    mapping = approved.mapping
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
