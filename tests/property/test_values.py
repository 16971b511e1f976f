"""Canonical values: what any value comes to, and which values are one."""

import json
import math
import random
import unicodedata
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, example, given, strategies as st

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.values import (
    FIELD_TYPES,
    FieldType,
    Value,
    canonical,
    canonical_email,
    canonical_key,
    email_key,
    fingerprint,
    loses_digits,
    reader,
    same,
)

ZONES = [UTC, ZoneInfo("Europe/Berlin"), ZoneInfo("America/St_Johns"), ZoneInfo("Asia/Kolkata")]
#: Letters whose composed and decomposed spellings differ, marks, quotes, and plain ones.
LETTERS = st.text(alphabet='aé\u0301\u0303n\\"\n/\u0344\ufb01Å\u212b', max_size=6)
TEXT = st.text(max_size=8) | LETTERS

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.decimals(allow_nan=True, allow_infinity=True)
    | TEXT
    | st.dates()
    | st.datetimes(timezones=st.none() | st.sampled_from(ZONES))
    | st.times()
    | st.uuids()
    | st.ip_addresses()
    | st.binary(max_size=4)
    | st.timedeltas()
)
raws = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(TEXT | st.integers(), inner, max_size=4)
    ),
    max_leaves=8,
)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False).filter(lambda x: not x.is_integer())
    | st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=6)
    | LETTERS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(LETTERS, inner, max_size=4),
    max_leaves=8,
)


def attempt(call: Callable[..., Value], *arguments: object) -> tuple[Value, str]:
    """Return what the call returns, and the code with which it refuses."""
    try:
        return call(*arguments), ""
    except InvalidValue as error:
        return error.message, error.code


def settled(raw: object, declared: FieldType | None = None) -> Value:
    """Return the canonical value; skip what has none."""
    value, code = attempt(canonical, raw, declared, UTC)
    assume(not code)
    return value


def shuffled(value: Value, chance: random.Random) -> Value:
    """Return the value with the keys of its objects in another order."""
    if isinstance(value, dict):
        names = list(value)
        chance.shuffle(names)
        return {name: shuffled(value[name], chance) for name in names}
    return [shuffled(item, chance) for item in value] if isinstance(value, list) else value


def decomposed(value: Value) -> Value:
    """Return the value with all its texts and keys in NFD."""
    if isinstance(value, dict):
        return {unicodedata.normalize("NFD", k): decomposed(v) for k, v in value.items()}
    if isinstance(value, list):
        return [decomposed(item) for item in value]
    return unicodedata.normalize("NFD", value) if isinstance(value, str) else value


def holds_json_only(value: Value) -> bool:
    """Tell whether JSON can hold the value exactly."""
    if isinstance(value, dict):
        return all(type(k) is str and holds_json_only(v) for k, v in value.items())
    if isinstance(value, list):
        return all(holds_json_only(item) for item in value)
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


@given(raw=raws, declared=st.none() | st.sampled_from(FIELD_TYPES))
def test_any_value_is_canonical_or_refused(raw: object, declared):
    """No other error gets out, whatever the driver returned and the mapping declares."""
    for zone in ZONES[:2]:
        value, code = attempt(canonical, raw, declared, zone)
        assert value or not code
        assert holds_json_only(value)
        if not code:
            assert len(fingerprint(value)) == 16
            json.dumps(value).encode()


@given(raw=raws, declared=st.none() | st.sampled_from(FIELD_TYPES))
@example(raw="a\x00", declared=None)
@example(raw="12", declared="integer")
@example(raw="\ud800", declared="string")
def test_a_column_is_read_as_a_single_value_is(raw: object, declared):
    """What is quick with the usual values comes to the same as what takes its time."""
    read = attempt(reader(declared, ZONES[1]), raw)
    slowly = attempt(canonical, raw, declared, ZONES[1])
    assert (read, type(read[0])) == (slowly, type(slowly[0]))


@given(raw=raws)
def test_a_canonical_value_is_its_own_canonical_value(raw: object):
    """Also after a trip through JSON, as the state stores it."""
    value = settled(raw)
    assert same(canonical(value, None, UTC), value)
    assert same(json.loads(json.dumps(value)), value)
    assert fingerprint(json.loads(json.dumps(value))) == fingerprint(value)


@given(value=values, seed=st.integers())
def test_f27_the_order_of_keys_makes_no_difference(value: Value, seed: int):
    """Databases return objects in the order they like."""
    other = shuffled(value, random.Random(seed))
    assert same(value, other)
    assert fingerprint(value) == fingerprint(other)


@given(value=values)
def test_composition_makes_no_difference(value: Value):
    """Unless it takes two keys for one."""
    other = decomposed(value)
    assume(json.dumps(value).count(":") == json.dumps(other).count(":"))
    assert same(value, other)
    assert fingerprint(value) == fingerprint(other)


@given(one=values, other=values)
def test_same_and_fingerprint_agree(one: Value, other: Value):
    """What is compared by its fingerprint is compared alike."""
    assert same(one, other) == (fingerprint(one) == fingerprint(other))
    assert same(one, other) == same(other, one)


@given(one=TEXT, other=TEXT)
def test_texts_are_the_same_only_if_their_compositions_are(one: str, other: str):
    """Normalising the JSON text loses nothing."""
    equal = unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other)
    assert same(one, other) == equal


@given(number=st.decimals(min_value=-(10**12), max_value=10**12, places=4))
def test_f52_one_number_is_one_value_in_every_shape(number: Decimal):
    """As a Decimal with or without zeros, as text, and as the double nearest to it."""
    value = settled(number)
    assert same(value, settled(number.normalize()))
    assert same(value, settled(str(number), "number"))
    assert same(value, settled(float(number)))
    assert same(settled(number, "string"), settled(number.normalize(), "string"))
    assert loses_digits(number) == (Decimal(repr(float(number))) != number)


@given(number=st.integers(-(2**63), 2**63 - 1))
def test_f41_a_whole_number_is_one_key_in_every_shape(number: int):
    """An integer, a Decimal with zeros, and text; a float as far as it is exact."""
    assert canonical_key(number) == str(number)
    assert canonical_key(Decimal(number)) == str(number)
    assert canonical_key(Decimal(f"{number}.00")) == str(number)
    assert canonical_key(str(number)) == str(number)
    if float(number) == number:
        assert canonical_key(float(number)) == str(number)


@given(raw=scalars)
def test_f40_any_value_is_a_usable_key_or_refused(raw: object):
    """A usable one is text that is its own key."""
    key, code = attempt(canonical_key, raw)
    assert isinstance(key, str)
    if code:
        assert code.startswith("key_")
    else:
        assert 0 < len(key) <= 255
        assert canonical_key(key) == key


@given(
    moment=st.datetimes(
        min_value=datetime.fromisoformat("1900-01-01"),
        max_value=datetime.fromisoformat("2100-01-01"),
        timezones=st.sampled_from(ZONES),
    )
)
def test_f49_one_moment_is_one_value_in_every_zone(moment: datetime):
    """As an object in any zone and as text with any offset."""
    value = canonical(moment, None, UTC)
    for zone in ZONES:
        assert canonical(moment.astimezone(zone), None, zone) == value
    # An offset of old times may have seconds, which ISO texts of databases have too.
    assert canonical(moment.isoformat(" "), "datetime", ZONES[1]) == value
    assert isinstance(value, str)
    # Not `==`: Python calls a repeated hour unequal to the same moment in another zone.
    assert datetime.fromisoformat(value).timestamp() == moment.timestamp()


@given(text=st.emails(), blanks=st.sampled_from(["", " ", "\t", "\u00a0"]))
def test_f43_case_and_blanks_make_no_other_address(text: str, blanks: str):
    """The key of an address is its own key."""
    email, code = attempt(canonical_email, f"{blanks}{text}{blanks}")
    assume(not code)
    assert email == text
    assert email_key(text) == email_key(f"{blanks}{text.upper()}") == email_key(email_key(text))


@given(text=st.text(max_size=20) | st.from_regex(r"\S+@\S+\.\S+"))
def test_f42_any_text_is_an_address_or_refused(text: str):
    """What is taken for one has no blanks around it and is taken again."""
    email, code = attempt(canonical_email, text)
    assert isinstance(email, str)
    if code:
        assert code in {"email_missing", "email_malformed"}
    else:
        assert canonical_email(email) == email == email.strip()
        assert email.count("@") == 1


@pytest.mark.parametrize("zone", ZONES, ids=str)
@given(moment=st.datetimes())
def test_f49_every_naive_moment_has_one_reading(zone, moment: datetime):
    """Gaps and repeated hours included; only the edges of the calendar have none."""
    value, code = attempt(canonical, moment, None, zone)
    if code:
        assert code == "invalid_date"
        assert moment.year in {1, 9999}
    else:
        assert canonical(moment, "datetime", zone) == value
        assert canonical(str(moment), "datetime", zone) == value
        assert canonical(moment, "date", zone) == moment.date().isoformat()
