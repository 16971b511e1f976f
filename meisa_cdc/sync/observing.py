"""Rows as the app database yields them -> keys, canonical values and fingerprints.

The fingerprint of a row is one of what the driver returned, not of its canonical values: those
are a function of the former, so that a row as it was needs no reading. A row that the database
spells otherwise without meaning anything else is compared once more, and found to be the same.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import tzinfo
from hashlib import blake2b

from meisa_cdc.core.contact import ATTRIBUTES, KEY_COLUMN, SOURCE, SOURCES
from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.core.tags import is_tags
from meisa_cdc.core.values import EDITION, FieldType, Value, fingerprint, reader

#: Characters of a value, and of a row, that a message quotes.
MOST_OF_A_VALUE = 60
MOST_OF_A_ROW = 200


class Observer:
    """Reads the rows of one mapping in canonical values."""

    def __init__(self, mapping: Mapping, columns: Sequence[str], zone: tzinfo) -> None:
        #: Where the key stands in a row.
        self.key = columns.index(KEY_COLUMN)
        self._columns = tuple(columns)
        self._width = len(self._columns)
        # Once for all rows; each goes on with a copy.
        self._hash = blake2b(digest_size=16)
        self._hash.update(f"{_salt(mapping, zone)} {self._columns!r}\0".encode())
        self._fields = [
            (place, column, _reader(mapping, column, zone))
            for place, column in enumerate(columns)
            if column != KEY_COLUMN
        ]

    def fingerprint(self, row: Sequence[object]) -> bytes:
        """Return 16 bytes that stand for a row as the driver returned it, its place left out.

        Two rows with the same one have the same canonical values, or none: what has any shows
        all of itself when it is printed. Empty: the row cannot be printed, and equals none.
        """
        try:
            printed = repr(row[: self._width])
        except (RecursionError, ValueError):
            return b""
        copy = self._hash.copy()
        copy.update(printed.encode(errors="backslashreplace"))
        return copy.digest()

    def observe(self, row: Sequence[object]) -> tuple[dict[str, Value], dict[str, tuple[str, str]]]:
        """Return a row's values, and the codes of those that have none."""
        values: dict[str, Value] = {}
        errors: dict[str, tuple[str, str]] = {}
        for place, column, read in self._fields:
            raw = row[place]
            if raw is None:
                values[column] = None
                continue
            try:
                values[column] = read(raw)
            except InvalidValue as error:
                errors[column] = (error.code, error.message)
        return values, errors

    def told(self, row: Sequence[object]) -> str:
        """Return a row for a message."""
        return told(zip(self._columns, row, strict=False))


def told(values: Iterable[tuple[str, object]]) -> str:
    """Return named values for a message, shortened."""
    pairs = (f"{name}={_shortened(repr(value), MOST_OF_A_VALUE)}" for name, value in values)
    return _shortened(", ".join(pairs), MOST_OF_A_ROW)


def _shortened(text: str, most: int) -> str:
    return text if len(text) <= most else text[:most] + "…"


def _reader(mapping: Mapping, column: str, zone: tzinfo) -> Callable[[object], Value]:
    read = reader(_cast(mapping, column), zone)
    if column == SOURCE:
        return lambda raw: _source(read(raw))
    if is_tags(column):
        return lambda raw: _tags(column, read(raw))
    return read


def _cast(mapping: Mapping, column: str) -> FieldType | None:
    declared = mapping.settings_of(column).type
    if is_tags(column):
        return declared or "json"
    return declared if declared is not None or column not in ATTRIBUTES else "string"


def _source(value: Value) -> Value:
    if value is not None and value not in SOURCES:
        raise InvalidValue(
            "source_unknown", f"{value!r} is not one of {', '.join(sorted(SOURCES))}"
        )
    return value


def _tags(column: str, value: Value) -> Value:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
        raise InvalidValue("tags_malformed", f"{column} has to be a list of texts")
    return [*sorted({tag for tag in value if isinstance(tag, str)})]


def _salt(mapping: Mapping, zone: tzinfo) -> str:
    # An edited file, another zone or a newer version of ours may read the same row differently, so
    # all is looked at anew.
    return f"{EDITION} {mapping.digest} {zone}"


def missing_fingerprint(mapping: Mapping, columns: Iterable[str], zone: tzinfo) -> bytes:
    """Return what stands for `a complete read of this mapping had no row`.

    `columns` are those that it would have had values in.
    """
    return fingerprint([*sorted(columns)], f"missing {_salt(mapping, zone)}")


def scheme_of(source: str, mapping: Mapping, missing: bytes, zone: tzinfo) -> str:
    """Return what checksums depend on beside the rows: the way to take them, and to read rows.

    `source` is the app database's part of it.
    """
    from meisa_cdc import __version__

    return f"{source} {missing.hex()} {_salt(mapping, zone)} {__version__}"
