"""What every spool promises."""

from collections.abc import Iterator

import pytest

from meisa_cdc.core.contact import Claim, Staged
from meisa_cdc.core.values import Value
from meisa_cdc.ports import Spool
from meisa_cdc.state import TemporarySpool
from meisa_cdc.testing import MemorySpool

IDENTITY, PLAN = "contacts/identity", "contacts/plan"


@pytest.fixture(params=[MemorySpool, TemporarySpool])
def spool(request: pytest.FixtureRequest) -> Iterator[Spool]:
    """Yield an empty spool of each kind in turn."""
    made: Spool = request.param()
    yield made
    made.close()


def row(value: Value = 1, **known) -> Staged:
    """Return an observed row."""
    return Staged(values={"plan": value}, fingerprint=b"\x00\x01", **known)


def contents(spool: Spool, size: int = 500) -> dict[str, dict[str, Staged]]:
    """Return all that is there."""
    return {key: staged for batch in spool.contacts(size) for key, staged in batch}


def flat(batches) -> list[str]:
    """Return all that batches hold."""
    return [each for batch in batches for each in batch]


def test_an_observation_comes_back_as_it_was_put(spool: Spool):
    """Values, errors and marks survive."""
    whole = Staged(
        values={"a": 2**64 - 1, "b": [1.5, {"c": None}], "d": "Zoë 😀", "e": True},
        errors={"f": ("not_a_number", "nan is none"), "g": ("binary", "3 bytes")},
        fingerprint=b"\xff\x00",
        row=True,
        had_row=True,
        duplicate="named already",
    )
    missing = Staged(fingerprint=b"-", row=False, had_row=True)
    spool.put(IDENTITY, [("7", whole, "a@example.com")])
    spool.put(PLAN, [("7", missing, "")])
    assert contents(spool) == {"7": {IDENTITY: whole, PLAN: missing}}


@pytest.mark.parametrize("size", [1, 2, 3, 500])
def test_contacts_come_in_order_of_their_keys(spool: Spool, size: int):
    """By code points, each key once with all its mappings, in batches of the size asked for."""
    keys = ["10", "9", "Zoe", "zoe", "é", "\uffee", "😀"]
    spool.put(PLAN, [(key, row(), "") for key in reversed(keys)])
    spool.put(IDENTITY, [(key, row(), "") for key in keys[::2]])
    batches = [[key for key, _ in batch] for batch in spool.contacts(size)]
    assert flat(batches) == keys
    assert max(map(len, batches)) <= size
    assert list(contents(spool, size)["é"]) in ([PLAN, IDENTITY], [IDENTITY, PLAN])
    assert list(contents(spool, size)["zoe"]) == [PLAN]


def test_an_empty_spool_has_nothing(spool: Spool):
    """Nothing was put: every question has an empty answer."""
    spool.put(PLAN, [])
    spool.touch([])
    assert flat(spool.contacts()) == flat(spool.new_keys(PLAN)) == flat(spool.emails(PLAN)) == []
    assert spool.having(PLAN, ["a"]) == set()
    assert spool.claims(PLAN, ["a@example.com"]) == []
    spool.drop(PLAN)


@pytest.mark.parametrize("together", [True, False])
def test_a_key_that_occurs_twice_names_both_rows(spool: Spool, together: bool):
    """Neither row wins, within a batch or across batches; a third changes nothing."""
    rows = [("7", row("pro"), ""), ("7", row("free"), ""), ("7", row("third"), "")]
    for batch in [rows] if together else [[each] for each in rows]:
        spool.put(PLAN, batch)
    spool.put(IDENTITY, [("7", row(), "")])
    found = contents(spool)["7"]
    assert "pro" in found[PLAN].duplicate
    assert "free" in found[PLAN].duplicate
    assert "third" not in found[PLAN].duplicate
    assert found[IDENTITY].duplicate == ""


def test_a_touched_key_is_looked_at(spool: Spool):
    """With nothing observed it is there with nothing; with something, with that alone."""
    spool.touch(["a", "b"])
    spool.put(PLAN, [("b", row(), ""), ("c", row(), "")])
    spool.touch(["b", "c"])
    assert contents(spool) == {"a": {}, "b": {PLAN: row()}, "c": {PLAN: row()}}


def test_a_dropped_mapping_is_as_if_never_read(spool: Spool):
    """Others stay; keys that it alone had are gone; it can be put again."""
    spool.put(PLAN, [("a", row("old"), "a@example.com"), ("b", row(), "")])
    spool.put(IDENTITY, [("b", row(), "")])
    spool.drop(PLAN)
    assert contents(spool) == {"b": {IDENTITY: row()}}
    assert spool.claims(PLAN, ["a@example.com"]) == []
    spool.put(PLAN, [("a", row("new"), "")])
    assert contents(spool)["a"] == {PLAN: row("new")}


def test_having_tells_for_which_keys_there_is_a_row(spool: Spool):
    """Missing rows, touched keys and other mappings do not count."""
    spool.put(PLAN, [("a", row(), ""), ("b", Staged(row=False), "")])
    spool.put(IDENTITY, [("c", row(), "")])
    spool.touch(["d"])
    assert spool.having(PLAN, ["a", "b", "c", "d", "e"]) == {"a"}


def test_new_keys_had_no_row_before(spool: Spool):
    """Rows whose contact had one before, and missing rows, are left out."""
    spool.put(
        PLAN,
        [
            ("b", row(), ""),
            ("a", row(), ""),
            ("c", row(had_row=True), ""),
            ("d", Staged(row=False), ""),
        ],
    )
    spool.put(IDENTITY, [("x", row(), "")])
    assert flat(spool.new_keys(PLAN)) == ["a", "b"]


def test_claims_name_who_was_seen_with_an_address(spool: Spool):
    """By address, then by key, of this mapping alone."""
    entries = [("b", row(), "x@a.io"), ("a", row(), "x@a.io"), ("c", row(), "y@a.io")]
    spool.put(IDENTITY, [*entries, ("d", row(), "")])
    spool.put(PLAN, [("z", row(), "x@a.io")])
    found = spool.claims(IDENTITY, ["y@a.io", "x@a.io", "none@a.io"])
    assert [(claim.email_key, claim.external_id) for claim in found] == [
        ("x@a.io", "a"),
        ("x@a.io", "b"),
        ("y@a.io", "c"),
    ]
    assert found[0] == Claim(external_id="a", email_key="x@a.io", holds=False, observes=True)


def test_addresses_are_listed_once(spool: Spool):
    """Distinct, without the empty one, of this mapping alone."""
    spool.put(IDENTITY, [("a", row(), "x@a.io"), ("b", row(), "x@a.io"), ("c", row(), "")])
    spool.put(PLAN, [("d", row(), "other@a.io")])
    assert flat(spool.emails(IDENTITY)) == ["x@a.io"]


def test_many_observations_come_in_batches(spool: Spool):
    """What is too much for one batch comes in several, complete and in order."""
    keys = [f"{number:04}" for number in range(2500)]
    spool.put(IDENTITY, [(key, row(), f"{key}@a.io") for key in keys])
    assert flat(spool.new_keys(IDENTITY)) == keys
    assert flat(spool.emails(IDENTITY)) == [f"{key}@a.io" for key in keys]
    assert list(contents(spool)) == keys
    assert len(list(spool.contacts())) == 5
