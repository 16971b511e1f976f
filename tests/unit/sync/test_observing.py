"""Rows as the driver returned them: when two are the same without being read."""

from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from hypothesis import example, given, strategies as st

from meisa_cdc.core.mapping import FieldSettings, Mapping
from meisa_cdc.sync.observing import Observer

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 1, 1, 12)  # noqa: DTZ001 - what a column without a zone holds
#: Values that equal others, or look like others, and mean something else in one cast or another.
ALIKE = [
    None,
    True,
    1,
    1.0,
    Decimal(1),
    Decimal("1.0"),
    "1",
    "True",
    "None",
    b"1",
    "1', '2",
    NOON,
    NOON.replace(tzinfo=UTC),
    NOON.replace(tzinfo=BERLIN),
    NOON.replace(tzinfo=timezone(timedelta(hours=1))),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN),
    datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN, fold=1),
    date(2026, 1, 1),
    "2026-01-01",
    UUID(int=1),
    str(UUID(int=1)),
    [1],
    ["1"],
    (1,),
    {"a": 1, "b": None},
    {"a": 1, "b": "None"},
    {"b": None, "a": 1},
    "\udc80",
    "\\udc80",
    "é",
    "e\u0301",
]
#: Casts of the two columns beside the key.
TYPES = st.sampled_from(
    [None, "string", "integer", "number", "boolean", "date", "datetime", "json"]
)


def observer(*types: Any, columns: tuple[str, ...] = ("a", "b")) -> Observer:
    """Return what reads rows of a key and two columns with these casts."""
    fields = {
        column: FieldSettings(type=each) for column, each in zip(columns, types, strict=False)
    }
    mapping = Mapping(name="contacts/a", text="", digest="d", fields=fields)
    return Observer(mapping, ("external_id", *columns), UTC)


@given(
    one=st.tuples(st.sampled_from(ALIKE), st.sampled_from(ALIKE)),
    other=st.tuples(st.sampled_from(ALIKE), st.sampled_from(ALIKE)),
    types=st.tuples(TYPES, TYPES),
)
@example(one=("1', '2", "3"), other=("1", "2', '3"), types=(None, None))
def test_rows_with_one_fingerprint_have_one_meaning(one, other, types):
    """What is not read for its fingerprint's sake would have been read to the same values."""
    reads = observer(*types)
    if reads.fingerprint(("1", *one)) == reads.fingerprint(("1", *other)):
        assert reads.observe(("1", *one)) == reads.observe(("1", *other))


@given(row=st.tuples(st.sampled_from(ALIKE), st.sampled_from(ALIKE)))
def test_a_row_has_its_fingerprint_wherever_it_is_read(row):
    """Another process, and one that asked for the row's place, finds the same."""
    first = observer().fingerprint(("1", *row))
    assert len(first) == 16
    assert observer().fingerprint(("1", *row)) == first
    assert observer().fingerprint(("1", *row, 77)) == first


def test_the_names_of_columns_count():
    """`select *` after a column was renamed yields the same values for another field."""
    row = ("1", "x", "y")
    assert observer().fingerprint(row) != observer(columns=("a", "c")).fingerprint(row)


def test_the_cast_of_a_column_counts():
    """It stands in the file, whose digest is part of every fingerprint."""
    mapping = Mapping(name="contacts/a", text="", digest="another")
    row = ("1", "x", "y")
    other = Observer(mapping, ("external_id", "a", "b"), UTC)
    assert observer().fingerprint(row) != other.fingerprint(row)
    elsewhere = Observer(mapping, ("external_id", "a", "b"), BERLIN)
    assert elsewhere.fingerprint(row) != other.fingerprint(row)


def test_what_cannot_be_printed_equals_nothing():
    """Such a row is compared each time, rather than taken for another one."""
    assert observer().fingerprint(("1", 10**5000, "y")) == b""
    deep: list[object] = []
    for _ in range(100_000):
        deep = [deep]
    assert observer().fingerprint(("1", deep, "y")) == b""
