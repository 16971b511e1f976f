"""SQL values become canonical values, and equal ones are told to be equal."""

import enum
import json
import uuid
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from zoneinfo import ZoneInfo

import pytest

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.values import (
    FIELD_TYPES,
    FieldType,
    Unreadable,
    Value,
    canonical,
    fingerprint,
    loses_digits,
    normal_form,
    same,
)

BERLIN = ZoneInfo("Europe/Berlin")
AHEAD = timezone(timedelta(hours=2))
NFC, NFD = "caf\u00e9", "cafe\u0301"


class Plan(enum.StrEnum):
    """A text enum, as an application's driver may return it."""

    PRO = "pro"


# Of before StrEnum: its str() is not its value.
OldPlan = enum.Enum("OldPlan", {"PRO": "pro"}, type=str)


class Level(enum.IntEnum):
    """A number enum."""

    HIGH = 3


naive = datetime.fromisoformat


def label(value: object) -> str:
    """Name a case so that 5, 5.0 and '5' have different names."""
    return repr(value)[:50]


def plain(raw: object, zone: tzinfo = UTC) -> Value:
    """Return the canonical value of an undeclared column."""
    return canonical(raw, None, zone)


def refusal(raw: object, declared: FieldType | None = None, zone: tzinfo = UTC) -> InvalidValue:
    """Return why a value is refused."""
    with pytest.raises(InvalidValue) as caught:
        canonical(raw, declared, zone)
    return caught.value


def exactly(value: Value, expected: Value) -> bool:
    """Tell whether two values are equal in type too, which 1, True and 1.0 are not."""
    return type(value) is type(expected) and value == expected


# ---------------------------------------------------------------- numbers


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (5, 5),
        (0, 0),
        (-(2**63), -(2**63)),
        (2**64 - 1, 2**64 - 1),
        (True, True),
        (False, False),
        (5.0, 5),
        (-0.0, 0),
        (12.5, 12.5),
        (float(2**53), 2**53),
        (float(2**54), float(2**54)),
        (1e22, 1e22),
        (-1e300, -1e300),
        (5e-324, 5e-324),
        (Decimal(5), 5),
        (Decimal("5.00"), 5),
        (Decimal("-0.00"), 0),
        (Decimal("0E+30"), 0),
        (Decimal("1E+5"), 100_000),
        (Decimal("12.30"), 12.3),
        (Decimal("0.1"), 0.1),
        (Decimal(2**53), 2**53),
        (Decimal(2**53 + 1), 2**53),
        (Decimal(2**53 + 2), float(2**53 + 2)),
        (Decimal(-(2**63)), -float(2**63)),
        (Decimal("1E-400"), 0),
        (Decimal("12345678901234567890123.5"), 1.2345678901234568e22),
        (Level.HIGH, 3),
    ],
    ids=label,
)
def test_numbers_become_the_shortest_json_number(raw: object, expected: Value):
    """Integral ones within 2**53 are integers whatever type they came in, others doubles."""
    assert exactly(plain(raw), expected)


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (float("nan"), "not_a_number"),
        (float("inf"), "not_a_number"),
        (float("-inf"), "not_a_number"),
        (Decimal("NaN"), "not_a_number"),
        (Decimal("sNaN"), "not_a_number"),
        (Decimal("-Infinity"), "not_a_number"),
        (Decimal("1e400"), "number_too_large"),
        (Decimal("1E+999999"), "number_too_large"),
        (Decimal("1e400") + Decimal("0.5"), "number_too_large"),
        (Decimal("9" * 400 + ".5"), "number_too_large"),
        (Decimal("1" * 50), "number_too_large"),
        (Decimal(2**64), "number_too_large"),
        (Decimal("1e20"), "number_too_large"),
        (2**64, "number_too_large"),
        (-(2**63) - 1, "number_too_large"),
    ],
    ids=label,
)
def test_f47_numbers_that_json_or_64_bits_cannot_hold_are_invalid(raw: object, code: str):
    """They are refused with a code and a short message, never rounded or clipped."""
    error = refusal(raw)
    assert error.code == code
    assert len(error.message) < 150


@pytest.mark.parametrize("declared", [None, "string", "integer", "number", "boolean"])
def test_f47_an_integer_of_thousands_of_digits_is_never_written_out(declared: FieldType | None):
    """Python refuses to print it, so a message that tried would end the pass."""
    assert refusal(10**5000, declared).code == "number_too_large"


def test_f47_fifty_digits_of_a_fraction_are_sent_as_the_nearest_double():
    """Digits that no double holds are lost, and that is noticed for `check` to report."""
    raw = Decimal("0." + "3" * 50)
    assert plain(raw) == 0.3333333333333333
    assert loses_digits(raw)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (Decimal("0.1"), False),
        (Decimal("12.30"), False),
        (Decimal("0.1000000000000000055"), True),
        (Decimal(2**53 + 1), True),
        (Decimal("1e400"), True),
        (Decimal("NaN"), False),
        (0.1, False),
        ("0.1000000000000000055", False),
    ],
    ids=label,
)
def test_a_decimal_that_no_double_holds_is_told(raw: object, expected: bool):
    """Only digits count; zeros at the end are none."""
    assert loses_digits(raw) is expected


def test_one_true_and_one_point_nought_are_told_apart_as_json_does():
    """1 and 1.0 are one number; true is none."""
    assert same(plain(1), plain(1.0))
    assert same(plain(1), plain(Decimal("1.00")))
    assert not same(plain(1), plain(True))
    assert not same(plain(0), plain(False))
    assert not same([1], [True])
    assert fingerprint(plain(1)) != fingerprint(plain(True))


# ---------------------------------------------------------------- text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " a ",
        "line\nbreak\t",
        NFC,
        NFD,
        "שלום עולם",
        "\u202eabc",
        "👩‍👩‍👧",
        "\x7f",
        "x" * 100_000,
    ],
    ids=label,
)
def test_f51_text_is_sent_exactly_as_it_is(text: str):
    """Blanks, direction marks, decomposed letters and 100 kB stay as they are."""
    assert exactly(plain(text), text)


@pytest.mark.parametrize("text", ["a\x00b", "\x00", "\ud800", "a\udfffb"])
def test_f51_nul_and_lone_surrogates_are_invalid_wherever_they_stand(text: str):
    """JSON databases and Meisa could not store them."""
    for raw in (text, [text], {text: 1}, {"k": text}):
        assert refusal(raw).code == "invalid_text"


@pytest.mark.parametrize("declared", [None, "string"])
@pytest.mark.parametrize("raw", [Plan.PRO, OldPlan.PRO], ids=["new", "old"])
def test_members_of_a_text_enum_are_their_values(raw: object, declared: FieldType | None):
    """No enum object, nor its Python name, gets out."""
    assert exactly(canonical(raw, declared, UTC), "pro")


def test_f51_composed_and_decomposed_letters_are_the_same():
    """Comparison and fingerprints do not see the difference, in values and in keys."""
    assert same(NFC, NFD)
    assert fingerprint(NFC) == fingerprint(NFD)
    assert same({NFC: [NFC]}, {NFD: [NFD]})
    assert not same(NFC, "cafe")


def test_f51_keys_are_ordered_by_their_composed_spelling():
    """A decomposed e-acute sorts before z, a composed one after it; the objects are equal."""
    one: Value = {"e\u0301": 1, "z": 2}
    other: Value = {"z": 2, "\u00e9": 1}
    assert same(one, other)
    assert same([one], [other])
    assert fingerprint(one) == fingerprint(other)


def test_f51_keys_that_differ_in_composition_alone_are_both_compared():
    """Neither of the two values is lost."""
    both: Value = {NFC: 1, NFD: 2}
    assert not same(both, {NFC: 2})
    assert not same(both, {NFC: 1, NFD: 3})


# ---------------------------------------------------------------- dates and times


@pytest.mark.parametrize(
    ("raw", "zone", "expected"),
    [
        (datetime(2026, 1, 12, 8, 30, tzinfo=UTC), UTC, "2026-01-12T08:30:00Z"),
        (datetime(2026, 1, 12, 8, 30, tzinfo=AHEAD), UTC, "2026-01-12T06:30:00Z"),
        (datetime(2026, 1, 12, 8, 30, tzinfo=AHEAD), BERLIN, "2026-01-12T06:30:00Z"),
        (datetime(2026, 1, 12, 8, 30, 0, 120_000, tzinfo=UTC), UTC, "2026-01-12T08:30:00.120000Z"),
        (naive("2026-01-12 08:30"), UTC, "2026-01-12T08:30:00Z"),
        (naive("2026-01-12 08:30"), BERLIN, "2026-01-12T07:30:00Z"),
        (naive("2026-07-12 08:30"), BERLIN, "2026-07-12T06:30:00Z"),
        (datetime(1, 1, 1, tzinfo=UTC), UTC, "0001-01-01T00:00:00Z"),
        (datetime.max.replace(tzinfo=UTC), UTC, "9999-12-31T23:59:59.999999Z"),
        (date(2026, 1, 12), BERLIN, "2026-01-12"),
        (date(1, 1, 1), BERLIN, "0001-01-01"),
        (time(8, 30), UTC, "08:30:00"),
    ],
    ids=label,
)
def test_f49_moments_are_sent_in_utc(raw: object, zone: tzinfo, expected: str):
    """Naive ones are read in the configured zone; dates have none; fractions only if not zero."""
    assert plain(raw, zone) == expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # 02:30 did not exist on 29 March: the clock went from 02:00 (+1) to 03:00 (+2).
        (naive("2026-03-29 02:30"), "2026-03-29T01:30:00Z"),
        # 02:30 came twice on 25 October: the first one is meant unless told otherwise.
        (naive("2026-10-25 02:30"), "2026-10-25T00:30:00Z"),
        (naive("2026-10-25 02:30").replace(fold=1), "2026-10-25T01:30:00Z"),
    ],
    ids=label,
)
def test_f49_gaps_and_repeated_hours_have_one_reading(raw: datetime, expected: str):
    """A local time that does not exist, or exists twice, is still one moment."""
    assert plain(raw, BERLIN) == expected


@pytest.mark.parametrize("declared", [None, "datetime", "date"])
@pytest.mark.parametrize(
    ("raw", "zone"),
    [
        (
            datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
            timezone(-timedelta(hours=12)),
        ),
        (datetime.max.replace(tzinfo=timezone(-timedelta(hours=12))), AHEAD),
    ],
    ids=label,
)
def test_f48_moments_that_leave_the_calendar_are_invalid(
    raw: datetime, zone: tzinfo, declared: FieldType | None
):
    """Year 1 and year 9999 have a zone in which they are outside; the fetch survives."""
    assert refusal(raw, declared, zone).code == "invalid_date"


# ---------------------------------------------------------------- structures and other types


def test_structures_stay_structures():
    """Nested JSON and arrays keep their shape; what is in them is canonical too."""
    raw = {
        "b": [Decimal("1.50"), None, (1, 2.0)],
        "a": {"when": date(2026, 1, 12), "id": uuid.UUID(int=1)},
    }
    assert plain(raw) == {
        "b": [1.5, None, [1, 2]],
        "a": {"when": "2026-01-12", "id": "00000000-0000-0000-0000-000000000001"},
    }


def test_structures_are_compared_regardless_of_key_order_and_of_lists_with_order():
    """An object has no order, an array has one."""
    assert same({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"d": 2, "c": 1}, "a": 1})
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert not same([1, 2], [2, 1])
    assert same(plain((1, 2)), plain([1, 2]))
    assert not same({"a": None}, {})


def test_names_of_an_object_become_text():
    """JSON has no other names."""
    assert plain({1: "a"}) == {"1": "a"}


def test_a_value_nested_too_deeply_is_invalid():
    """A row with it does not end the pass."""
    nested: object = 1
    for _ in range(3000):
        nested = [nested]
    assert refusal(nested).code == "too_deep"
    assert refusal("[" * 100_000 + "]" * 100_000, "json").code == "wrong_type"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (IPv4Address("10.0.0.1"), "10.0.0.1"),
        (IPv4Interface("10.0.0.1/24"), "10.0.0.1/24"),
        (IPv4Network("10.0.0.0/24"), "10.0.0.0/24"),
        (IPv6Address("::1"), "::1"),
    ],
    ids=label,
)
def test_f50_identifiers_and_addresses_are_text(raw: object, expected: str):
    """They have one plain spelling."""
    assert plain(raw) == expected


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (b"abc", "binary"),
        (bytearray(b"abc"), "binary"),
        (memoryview(b"abc"), "binary"),
        ([b"abc"], "binary"),
        (timedelta(days=1), "unsupported_type"),
        (object(), "unsupported_type"),
        ({1, 2}, "unsupported_type"),
    ],
    ids=label,
)
def test_f50_types_without_a_json_form_are_refused_with_cast_it(raw: object, code: str):
    """The message says what the user can do."""
    error = refusal(raw)
    assert error.code == code
    assert "cast" in error.message


@pytest.mark.parametrize("declared", [None, *FIELD_TYPES])
def test_f48_what_the_driver_could_not_read_is_invalid_under_every_type(
    declared: FieldType | None,
):
    """`infinity` as a date, years beyond 9999, and the like: with the driver's reason."""
    error = refusal(Unreadable("infinity", "there is no such date"), declared)
    assert error.code == "unreadable"
    assert error.message == "'infinity': there is no such date"


@pytest.mark.parametrize("declared", [None, *FIELD_TYPES])
def test_null_stays_null_under_every_type(declared: FieldType | None):
    """A cast has nothing to say about NULL."""
    assert canonical(None, declared, UTC) is None


# ---------------------------------------------------------------- declared types


@pytest.mark.parametrize(
    ("declared", "raw", "expected"),
    [
        ("string", "a", "a"),
        ("string", 5, "5"),
        ("string", 5.0, "5"),
        ("string", 1.5, "1.5"),
        ("string", Decimal("5.00"), "5"),
        ("string", Decimal("12.30"), "12.3"),
        ("string", Decimal("1E+5"), "100000"),
        ("string", Decimal(100), "100"),
        ("string", Decimal("-0.00"), "0"),
        ("string", Decimal("12345678901234567890.123456789"), "12345678901234567890.123456789"),
        ("string", True, "true"),
        ("string", False, "false"),
        ("string", date(2026, 1, 12), "2026-01-12"),
        ("string", uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ("string", {"b": 1, "a": [2]}, '{"a":[2],"b":1}'),
        ("integer", 5, 5),
        ("integer", "5", 5),
        ("integer", " -12 ", -12),
        ("integer", "5.0", 5),
        ("integer", 5.0, 5),
        ("integer", "1e3", 1000),
        ("integer", Decimal("5.00"), 5),
        ("integer", "0e99", 0),
        ("integer", True, 1),
        ("integer", b"\x01\x02", 258),
        ("integer", str(2**63), 2**63),
        ("number", "12.30", 12.3),
        ("number", " 12.30\n", 12.3),
        ("number", "+.5", 0.5),
        ("number", "5.", 5),
        ("number", "1E+5", 100_000),
        ("number", "-0.0", 0),
        ("number", 7, 7),
        ("number", 0.1, 0.1),
        ("number", Decimal("0.10"), 0.1),
        ("number", False, 0),
        ("boolean", True, True),
        ("boolean", 1, True),
        ("boolean", 0, False),
        ("boolean", 1.0, True),
        ("boolean", Decimal(0), False),
        ("boolean", "t", True),
        ("boolean", "F", False),
        ("boolean", " TRUE ", True),
        ("boolean", "false", False),
        ("boolean", "1", True),
        ("boolean", "0", False),
        ("boolean", b"\x01", True),
        ("boolean", b"\x00", False),
        ("boolean", bytearray(b"\x01"), True),
        ("boolean", memoryview(b"\x00"), False),
        ("date", date(2026, 1, 12), "2026-01-12"),
        ("date", naive("2026-01-12 23:30"), "2026-01-12"),
        ("date", datetime(2026, 1, 12, 23, 30, tzinfo=UTC), "2026-01-13"),
        ("date", "2026-01-12", "2026-01-12"),
        ("date", " 2026-01-12 ", "2026-01-12"),
        ("date", "20260112", "2026-01-12"),
        ("date", "2026-W03-1", "2026-01-12"),
        ("date", "2026-01-12 23:30:00", "2026-01-12"),
        ("date", "2026-01-12T23:30:00Z", "2026-01-13"),
        ("datetime", "2026-01-12T08:30:00Z", "2026-01-12T08:30:00Z"),
        ("datetime", "2026-01-12T08:30:00+02:00", "2026-01-12T06:30:00Z"),
        ("datetime", "2026-01-12 08:30:00+02", "2026-01-12T06:30:00Z"),
        ("datetime", "2026-01-12 08:30:00.25 +02:00", "2026-01-12T06:30:00.250000Z"),
        ("datetime", "2026-01-12 08:30:00 Z", "2026-01-12T08:30:00Z"),
        ("datetime", "2026-01-12 08:30", "2026-01-12T07:30:00Z"),
        ("datetime", "2026-01-12 08:30:00.123456", "2026-01-12T07:30:00.123456Z"),
        ("datetime", "2026-01-12", "2026-01-11T23:00:00Z"),
        ("datetime", date(2026, 1, 12), "2026-01-11T23:00:00Z"),
        ("datetime", datetime(2026, 1, 12, 8, tzinfo=UTC), "2026-01-12T08:00:00Z"),
        ("json", '{"b": [1.0, null], "a": "x"}', {"b": [1, None], "a": "x"}),
        ("json", " [1, 2] ", [1, 2]),
        ("json", '"x"', "x"),
        ("json", "null", None),
        ("json", "true", True),
        ("json", {"a": Decimal("1.0")}, {"a": 1}),
        ("json", [1], [1]),
        ("json", 5, 5),
    ],
    ids=label,
)
def test_f52_a_declared_type_reads_what_the_databases_mean_by_it(
    declared: FieldType, raw: object, expected: Value
):
    """The same value comes out of every engine's way to store it; naive times are Berlin's."""
    assert exactly(canonical(raw, declared, BERLIN), expected)


@pytest.mark.parametrize(
    ("declared", "raw", "code"),
    [
        ("string", b"a", "binary"),
        ("string", "a\x00", "invalid_text"),
        ("string", Decimal("NaN"), "not_a_number"),
        ("string", object(), "unsupported_type"),
        ("integer", "5.5", "wrong_type"),
        ("integer", 5.5, "wrong_type"),
        ("integer", "", "wrong_type"),
        ("integer", "five", "wrong_type"),
        ("integer", "0x10", "wrong_type"),
        ("integer", "1_000", "wrong_type"),
        ("integer", "\u0661\u0662", "wrong_type"),
        ("integer", "\uff11\uff12", "wrong_type"),
        ("integer", "1,000", "wrong_type"),
        ("integer", "1" * 50, "wrong_type"),
        ("integer", "1e400", "wrong_type"),
        ("integer", "1e9999999", "wrong_type"),
        ("integer", str(2**64), "number_too_large"),
        ("integer", "NaN", "not_a_number"),
        ("integer", [1], "wrong_type"),
        ("integer", b"", "wrong_type"),
        ("integer", b"123456789", "wrong_type"),
        ("integer", date(2026, 1, 12), "wrong_type"),
        ("number", "1e400", "number_too_large"),
        ("number", "NaN", "not_a_number"),
        ("number", "-Infinity", "not_a_number"),
        ("number", "sNaN", "wrong_type"),
        ("number", "1 2", "wrong_type"),
        ("number", ".", "wrong_type"),
        ("number", "  ", "wrong_type"),
        ("number", "1_000.5", "wrong_type"),
        ("number", "0x10", "wrong_type"),
        ("number", "\uff11.\uff15", "wrong_type"),
        ("number", float("nan"), "not_a_number"),
        ("boolean", 2, "wrong_type"),
        ("boolean", -1, "wrong_type"),
        ("boolean", 0.5, "wrong_type"),
        ("boolean", "yes", "wrong_type"),
        ("boolean", "", "wrong_type"),
        ("boolean", "2", "wrong_type"),
        ("boolean", b"\x02", "wrong_type"),
        ("boolean", b"", "wrong_type"),
        ("boolean", b"t", "wrong_type"),
        ("boolean", [True], "wrong_type"),
        ("boolean", float("nan"), "wrong_type"),
        ("date", "12.01.2026", "wrong_type"),
        ("date", "2026-02-30", "wrong_type"),
        ("date", "0000-00-00", "wrong_type"),
        ("date", "infinity", "wrong_type"),
        ("date", "10000-01-01", "wrong_type"),
        ("date", "", "wrong_type"),
        ("date", "2026-01-12x08:30", "wrong_type"),
        ("date", "\uff12026-01-12", "wrong_type"),
        ("date", 20260112, "wrong_type"),
        ("date", time(8), "wrong_type"),
        ("datetime", "2026-01-12T24:00:00", "wrong_type"),
        ("datetime", "2026-01-12T25:00:00", "wrong_type"),
        ("datetime", "yesterday", "wrong_type"),
        ("datetime", 1768206600, "wrong_type"),
        ("datetime", b"2026", "wrong_type"),
        ("json", "{", "wrong_type"),
        ("json", "", "wrong_type"),
        ("json", "[NaN]", "not_a_number"),
        ("json", "[1e400]", "not_a_number"),
        ("json", "[%s]" % ("1" * 5000), "wrong_type"),
        ("json", '"\\ud800"', "invalid_text"),
        ("json", '"\\u0000"', "invalid_text"),
        ("json", b"{}", "binary"),
    ],
    ids=label,
)
def test_f52_what_does_not_fit_the_declared_type_is_refused(
    declared: FieldType, raw: object, code: str
):
    """Python would read some of these, databases read none."""
    error = refusal(raw, declared, BERLIN)
    assert error.code == code
    assert len(error.message) < 150


def test_a_refused_text_is_quoted_in_part():
    """A message does not carry 100 kB of somebody's data."""
    assert refusal("x" * 100_000, "integer").message == (
        "'" + "x" * 60 + "…' cannot be read as an integer"
    )


# ---------------------------------------------------------------- comparison


@pytest.mark.parametrize("value", [None, True, 1, 0.5, 1e22, "a", NFD, [1, {"a": None}], {"b": []}])
def test_a_value_is_the_same_after_a_trip_through_json(value: Value):
    """What comes back from our own state is what went in."""
    assert same(json.loads(json.dumps(value)), value)


@pytest.mark.parametrize(
    ("one", "other"),
    [(None, ""), (None, 0), ("1", 1), ("", []), ([], {}), (0, None), ("true", True), (0.1, 0.2)],
)
def test_values_of_different_kinds_are_never_the_same(one: Value, other: Value):
    """NULL, empty and nought are three things."""
    assert not same(one, other)
    assert fingerprint(one) != fingerprint(other)


def test_a_combining_mark_after_an_escape_keeps_its_meaning():
    """Normalising the JSON text must not make two values one."""
    values: list[Value] = ["\n\u0303", "n\u0303", "\\n\u0303", "\u00f1", "\\\u00f1"]
    forms = {normal_form(value) for value in values}
    # Composed and decomposed spellings of two of them coincide, as they should.
    assert len(forms) == 3


def test_fingerprints_are_short_and_set_apart_by_their_salt():
    """Sixteen bytes a value; the same value of two kinds has two."""
    assert len(fingerprint({"a": 1})) == 16
    assert fingerprint("a", "one") != fingerprint("a", "other")
    assert fingerprint("a", "b") != fingerprint("b", "a")
