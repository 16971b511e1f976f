"""SQL value -> canonical value -> fingerprint.

A canonical value is what JSON can hold exactly: None, bool, int, float, str, list, dict.
Two databases that hold the same data yield the same canonical values.
"""

import hashlib
import ipaddress
import json
import math
import unicodedata
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, tzinfo
from decimal import Decimal
from typing import Any, Literal, TypeAlias, get_args

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.keys import MAX_EMAIL_LENGTH, canonical_email, canonical_key, email_key
from meisa_cdc.core.spelling import moment_in, number_in, shortened, truth_in

__all__ = [
    "EDITION",
    "FIELD_TYPES",
    "MAX_EMAIL_LENGTH",
    "NESTED",
    "FieldType",
    "Unreadable",
    "Value",
    "canonical",
    "canonical_email",
    "canonical_key",
    "email_key",
    "fingerprint",
    "loses_digits",
    "normal_form",
    "reader",
    "same",
]

Value: TypeAlias = bool | int | float | str | list["Value"] | dict[str, "Value"] | None
FieldType = Literal["string", "integer", "number", "boolean", "date", "datetime", "json"]
FIELD_TYPES: tuple[str, ...] = get_args(FieldType)

#: Grows with every change of what some value's canonical form is: rows are compared anew then.
EDITION = 1
#: Values that hold others; as a tuple, since `list | dict` would be made anew at each question.
NESTED = (list, dict)
#: Beyond this a double no longer holds every integer.
EXACT_INTEGER = 2**53
#: Every whole number within 64 bits is shorter.
WHOLE_DIGITS = 20
#: A MySQL BIT column has at most this many bytes.
MAX_BIT_BYTES = 8


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A column value that the driver could not turn into a Python value, or that we refuse."""

    #: The value as text, or the name of its SQL type.
    text: str
    #: Why it cannot be used, and what to do.
    reason: str


def canonical(raw: object, declared: FieldType | None, zone: tzinfo) -> Value:
    """Return the canonical value of one column value.

    `declared` casts it first; `zone` is what naive datetimes are read in.
    Raises InvalidValue where no canonical value exists.
    """
    if raw is None:
        return None
    try:
        return _plain(raw, zone) if declared is None else CASTS[declared](raw, zone)
    except RecursionError:
        raise InvalidValue("too_deep", "the value is nested too deeply") from None


def reader(declared: FieldType | None, zone: tzinfo) -> Callable[[object], Value]:
    """Return `canonical` for one column, which is quick with what is canonical already."""
    texts = declared in (None, "string")
    kinds = QUICK if declared is None else {}

    def read(raw: object) -> Value:
        if texts and type(raw) is str and raw.isascii() and "\x00" not in raw:
            return raw
        convert = kinds.get(type(raw))
        return canonical(raw, declared, zone) if convert is None else convert(raw, zone)

    return read


def _plain(raw: Any, zone: tzinfo) -> Value:
    convert = PLAIN.get(type(raw))
    if convert is not None:
        return convert(raw, zone)
    for kind, convert in PLAIN.items():
        if isinstance(raw, kind):
            return convert(raw, zone)
    raise InvalidValue(
        "unsupported_type",
        f"a value of type {type(raw).__name__} has no JSON form; cast it in the mapping",
    )


def _text(raw: str, _: tzinfo) -> str:
    if "\x00" in raw:
        raise InvalidValue("invalid_text", "the text contains a NUL character")
    if not raw.isascii():
        try:
            raw.encode()
        except UnicodeEncodeError:
            raise InvalidValue("invalid_text", "the text is not valid Unicode") from None
    # A member of a text enum becomes its value.
    return str.__str__(raw)


def _integer(raw: int, _: tzinfo) -> int:
    if not -(2**63) <= raw < 2**64:
        raise InvalidValue(
            "number_too_large", f"an integer of {raw.bit_length()} bits does not fit into 64"
        )
    return int(raw)


def _float(raw: float, _: tzinfo) -> int | float:
    if not math.isfinite(raw):
        raise InvalidValue("not_a_number", f"{raw} is not a number that JSON can hold")
    if raw.is_integer() and abs(raw) <= EXACT_INTEGER:
        return int(raw)
    return float(raw)


def _decimal(raw: Decimal, zone: tzinfo) -> int | float:
    if not raw.is_finite():
        raise InvalidValue("not_a_number", f"{raw} is not a number that JSON can hold")
    if not raw:
        return 0
    if raw == raw.to_integral_value():
        if raw.adjusted() >= WHOLE_DIGITS:
            raise InvalidValue("number_too_large", f"{shortened(raw)} does not fit into 64 bits")
        whole = _integer(int(raw), zone)
        return whole if abs(whole) <= EXACT_INTEGER else _float(float(whole), zone)
    double = float(raw)
    if not math.isfinite(double):
        raise InvalidValue("number_too_large", f"{shortened(raw)} is beyond every double")
    return _float(double, zone)


def loses_digits(raw: object) -> bool:
    """Tell whether a Decimal is sent as the nearest double, not as the digits it has."""
    if not isinstance(raw, Decimal) or not raw.is_finite():
        return False
    return Decimal(repr(float(raw))) != raw


def _datetime(raw: datetime, zone: tzinfo) -> str:
    local = raw if raw.tzinfo is not None else raw.replace(tzinfo=zone)
    return _moved(local, UTC).isoformat().removesuffix("+00:00") + "Z"


def _moved(moment: datetime, zone: tzinfo) -> datetime:
    try:
        return moment.astimezone(zone)
    except (OverflowError, ValueError):
        raise InvalidValue(
            "invalid_date", f"{moment} leaves the years 1 to 9999 in the zone {zone}"
        ) from None


def _date(raw: date, _: tzinfo) -> str:
    return raw.isoformat()


def _list(raw: list[Any] | tuple[Any, ...], zone: tzinfo) -> list[Value]:
    return [None if item is None else _plain(item, zone) for item in raw]


def _dict(raw: dict[Any, Any], zone: tzinfo) -> dict[str, Value]:
    return {
        _text(str(name), zone): None if item is None else _plain(item, zone)
        for name, item in raw.items()
    }


def _bytes(raw: bytes, _: tzinfo) -> Value:
    raise InvalidValue(
        "binary", f"{len(raw)} bytes of binary data; cast the column to text in the mapping"
    )


def _unreadable(raw: Unreadable, _: tzinfo) -> Value:
    raise InvalidValue("unreadable", f"{shortened(raw.text)}: {raw.reason}")


def _as_text(raw: object, zone: tzinfo) -> str:
    return _text(str(raw), zone)


PLAIN: dict[type, Callable[[Any, tzinfo], Value]] = {
    str: _text,
    bool: lambda raw, _: bool(raw),
    int: _integer,
    float: _float,
    Decimal: _decimal,
    datetime: _datetime,
    date: _date,
    uuid.UUID: _as_text,
    list: _list,
    tuple: _list,
    dict: _dict,
    time: lambda raw, _: raw.isoformat(),
    bytes: _bytes,
    bytearray: _bytes,
    memoryview: lambda raw, zone: _bytes(bytes(raw), zone),
    Unreadable: _unreadable,
    ipaddress.IPv4Address: _as_text,
    ipaddress.IPv6Address: _as_text,
    ipaddress.IPv4Network: _as_text,
    ipaddress.IPv6Network: _as_text,
    ipaddress.IPv4Interface: _as_text,
    ipaddress.IPv6Interface: _as_text,
}


#: Kinds that hold no others: nothing of them is nested too deeply.
QUICK: dict[type, Callable[[Any, tzinfo], Value]] = {
    kind: PLAIN[kind] for kind in (bool, int, float, Decimal, datetime, date)
}


def _refuse(raw: object, wanted: str) -> InvalidValue:
    return InvalidValue("wrong_type", f"{shortened(raw)} cannot be read as {wanted}")


def _to_string(raw: object, zone: tzinfo) -> Value:
    if isinstance(raw, Decimal) and raw.is_finite():
        # Engines pad with zeros to the column's scale, others do not: digits alone count.
        plain = format(raw or Decimal(0), "f")
        return plain.rstrip("0").rstrip(".") if "." in plain else plain
    value = _plain(raw, zone)
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else _json_text(value)


def _readable(raw: object, zone: tzinfo) -> object:
    """Return what a cast starts from: plain text, number, bytes, or any other object."""
    if isinstance(raw, Unreadable):
        return _unreadable(raw, zone)
    if isinstance(raw, str):
        return _text(raw, zone)
    if isinstance(raw, int) and not isinstance(raw, bool):
        return _integer(raw, zone)
    return bytes(raw) if isinstance(raw, bytearray | memoryview) else raw


def _bits(raw: bytes, wanted: str) -> int:
    if not 0 < len(raw) <= MAX_BIT_BYTES:
        raise _refuse(raw, wanted)
    return int.from_bytes(raw, "big")


def _number_of(raw: object, wanted: str) -> Decimal:
    number = None
    if isinstance(raw, bytes):
        number = Decimal(_bits(raw, wanted))
    elif isinstance(raw, float):
        number = Decimal(repr(float(raw)))
    elif isinstance(raw, int | Decimal):
        number = Decimal(raw)
    elif isinstance(raw, str):
        number = number_in(raw)
    if number is None:
        raise _refuse(raw, wanted)
    return number


def _to_number(raw: object, zone: tzinfo) -> Value:
    return _decimal(_number_of(_readable(raw, zone), "a number"), zone)


def _to_integer(raw: object, zone: tzinfo) -> Value:
    number = _number_of(_readable(raw, zone), "an integer")
    if not number.is_finite():
        return _decimal(number, zone)
    if not number:
        return 0
    if number.adjusted() >= WHOLE_DIGITS or number != int(number):
        raise _refuse(raw, "a 64-bit integer")
    return _integer(int(number), zone)


def _to_boolean(raw: object, zone: tzinfo) -> Value:
    value = _readable(raw, zone)
    if isinstance(value, bytes):
        value = _bits(value, "a boolean")
    if isinstance(value, int | float | Decimal) and value in (0, 1):
        return value == 1
    truth = truth_in(value) if isinstance(value, str) else None
    if truth is None:
        raise _refuse(raw, "a boolean")
    return truth


def _to_date(raw: object, zone: tzinfo) -> Value:
    value = _readable(raw, zone)
    if isinstance(value, str):
        value = moment_in(value)
    if isinstance(value, datetime):
        value = _moved(value, zone).date() if value.tzinfo is not None else value.date()
    if isinstance(value, date):
        return value.isoformat()
    raise _refuse(raw, "a date")


def _to_datetime(raw: object, zone: tzinfo) -> Value:
    value = _readable(raw, zone)
    if isinstance(value, str):
        value = moment_in(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    if isinstance(value, datetime):
        return _datetime(value, zone)
    raise _refuse(raw, "a date and time")


def _to_json(raw: object, zone: tzinfo) -> Value:
    if isinstance(raw, str):
        try:
            raw = json.loads(raw)
        except (ValueError, RecursionError):
            raise _refuse(raw, "JSON") from None
        if raw is None:
            return None
    return _plain(raw, zone)


CASTS: dict[str, Callable[[Any, tzinfo], Value]] = {
    "string": _to_string,
    "integer": _to_integer,
    "number": _to_number,
    "boolean": _to_boolean,
    "date": _to_date,
    "datetime": _to_datetime,
    "json": _to_json,
}


# Made once; `json.dumps` makes one at every call.
_json_text: Callable[[Any], str] = json.JSONEncoder(
    sort_keys=True, ensure_ascii=False, separators=(",", ":")
).encode
_json_in_order: Callable[[Any], str] = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":")
).encode


def normal_form(value: Value | Mapping[str, Value]) -> str:
    """Return the text that two equal values share: sorted keys, NFC."""
    text = _json_text(value)
    if text.isascii():
        return text
    # No JSON punctuation composes with a following mark, so the whole text can be normalised;
    # only the order of the keys has to be that of their normalised spelling beforehand.
    return _composed(_json_in_order(_sorted(value)))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (_composed(name), name))
        return {name: _sorted(value[name]) for name in names}
    return [_sorted(item) for item in value] if isinstance(value, list) else value


def same(one: Value, other: Value) -> bool:
    """Tell whether two canonical values are one to Meisa's automations."""
    if type(one) is type(other) and not isinstance(one, NESTED):
        if one == other:
            return True
        # Only what is beyond ASCII has more than one spelling.
        if not isinstance(one, str) or (one.isascii() and str(other).isascii()):
            return False
    return normal_form(one) == normal_form(other)


def fingerprint(value: Value | Mapping[str, Value], salt: str = "") -> bytes:
    """Return 16 bytes that stand for a canonical value; `salt` sets kinds of them apart."""
    data = f"{salt}\x00{normal_form(value)}".encode()
    return hashlib.blake2b(data, digest_size=16).digest()
