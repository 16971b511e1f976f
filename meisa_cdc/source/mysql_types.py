"""How MySQL and MariaDB types come out: as plain values, or set aside field by field."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time
from typing import Any

from meisa_cdc.core.values import Unreadable
from meisa_cdc.source.unreadable import guarded, json_or_unreadable

NO_SUCH_DATE = "no date between the years 1 and 9999; correct it or cast it to char"
DURATION = "a time over 24 hours or below zero; cast it to char in the mapping"
INTEGER, NUMBER, TEXT, DATE, DATETIME = "integer", "number", "text", "date", "datetime"
#: Families by the codes of the protocol.
FAMILIES = {
    0: NUMBER,  # decimal
    1: INTEGER,
    2: INTEGER,
    3: INTEGER,
    4: NUMBER,
    5: NUMBER,
    7: DATETIME,  # timestamp
    8: INTEGER,
    9: INTEGER,
    10: DATE,
    11: TEXT,  # time
    12: DATETIME,
    13: INTEGER,  # year
    14: DATE,
    15: TEXT,
    245: "json",
    246: NUMBER,
    247: TEXT,  # enum
    248: TEXT,  # set
    249: TEXT,
    250: TEXT,
    251: TEXT,
    252: TEXT,
    253: TEXT,
    254: TEXT,
}


def family(code: int) -> str:
    """Return the family of a column's type."""
    return FAMILIES.get(code, "other")


def conversions() -> dict[Any, Any]:
    """Return the driver's conversions, with ours for what it leaves half done."""
    from pymysql.constants import FIELD_TYPE
    from pymysql.converters import conversions as plain

    ours: dict[int, Callable[[str], object]] = {
        FIELD_TYPE.DATE: guarded(date.fromisoformat, NO_SUCH_DATE),
        FIELD_TYPE.NEWDATE: guarded(date.fromisoformat, NO_SUCH_DATE),
        FIELD_TYPE.DATETIME: guarded(datetime.fromisoformat, NO_SUCH_DATE),
        FIELD_TYPE.TIMESTAMP: guarded(_instant, NO_SUCH_DATE),
        FIELD_TYPE.TIME: guarded(time.fromisoformat, DURATION),
        FIELD_TYPE.JSON: json_or_unreadable,
        FIELD_TYPE.GEOMETRY: _geometry,
    }
    return {**plain, **ours}


def _instant(text: str) -> datetime:
    """Return a TIMESTAMP, which the server converts to the session's UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def _geometry(_: object) -> Unreadable:
    return Unreadable("a geometry", "it has no plain value; use ST_AsText in the mapping")
