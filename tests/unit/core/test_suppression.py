"""Deciding what a pulled list does to the table."""

import pytest

from meisa_cdc.core.suppression import (
    LEAST_HELD,
    PullFailed,
    addresses,
    decide,
    digest_of,
    whole,
)

AS_OF = "2026-06-02T12:00:00Z"
BODY = {"as_of": AS_OF, "count": 2, "emails": ["a@x.com", "b@x.com"]}


def people(count: int, start: int = 0) -> list[str]:
    """Return that many addresses in order."""
    return [f"u{number:04}@x.com" for number in range(start, start + count)]


def test_an_empty_table_takes_the_whole_list():
    """A first pull adds everything, in order."""
    decision = decide([], frozenset({"b@x.com", "a@x.com"}), max_release=0.2)
    assert decision.added == ["a@x.com", "b@x.com"]
    assert (decision.released, decision.held, decision.digest, decision.count) == ([], 0, "", 2)


def test_only_differences_change():
    """What stays is neither added nor released."""
    decision = decide(["c@x.com", "a@x.com"], frozenset({"a@x.com", "b@x.com"}), max_release=0.2)
    assert (decision.added, decision.released, decision.count) == (["b@x.com"], ["c@x.com"], 2)


def test_the_table_is_read_once():
    """It may be a stream of a million rows."""
    decision = decide(iter(people(3)), frozenset(people(3)), max_release=0.2)
    assert (decision.added, decision.released, decision.count) == ([], [], 3)


def test_f80_too_many_releases_are_held_and_additions_applied():
    """A list that is suddenly much shorter frees nobody until somebody approves."""
    decision = decide(people(100), frozenset([*people(79), "new@x.com"]), max_release=0.2)
    assert (decision.added, decision.released, decision.held) == (["new@x.com"], [], 21)
    assert decision.digest == digest_of(people(21, start=79))
    assert decision.count == 101


def test_f80_releases_up_to_the_share_go_through():
    """The limit itself is not over the limit."""
    decision = decide(people(100), frozenset(people(80)), max_release=0.2)
    assert (len(decision.released), decision.held, decision.count) == (20, 0, 80)


def test_f80_an_empty_list_is_held():
    """An empty answer where there was a list is the most surprising release of all."""
    decision = decide(people(10), frozenset(), max_release=0.2)
    assert (decision.released, decision.held, decision.count) == ([], 10, 10)


def test_f80_a_few_releases_are_never_held():
    """In a small table shares mean nothing."""
    decision = decide(people(LEAST_HELD - 1), frozenset(), max_release=0.2)
    assert (len(decision.released), decision.held, decision.count) == (9, 0, 0)


def test_a_share_of_everything_holds_nothing():
    """100 % switches the hold off."""
    assert decide(people(50), frozenset(), max_release=1.0).held == 0


def test_approval_releases_exactly_what_was_shown():
    """The digest of the held releases lets them go."""
    shown = decide(people(50), frozenset(people(10)), max_release=0.2)
    done = decide(people(50), frozenset(people(10)), max_release=0.2, approve=shown.digest)
    assert (done.released, done.held, done.digest, done.count) == (people(40, 10), 0, "", 10)


def test_approval_of_other_releases_is_none():
    """One address more or less, and it is another decision."""
    shown = decide(people(50), frozenset(people(10)), max_release=0.2)
    other = decide(people(50), frozenset(people(11)), max_release=0.2, approve=shown.digest)
    assert (other.released, other.held) == ([], 39)
    assert other.digest not in {"", shown.digest}


def test_an_approval_that_is_not_needed_does_no_harm():
    """Where nothing is held, the digest is not looked at."""
    decision = decide(people(50), frozenset(people(49)), max_release=0.2, approve="whatever")
    assert (len(decision.released), decision.held) == (1, 0)


def test_a_digest_tells_lists_apart():
    """Addresses cannot be shifted between entries unnoticed."""
    digests = {digest_of(each) for each in (["ab@x", "c@x"], ["a@x", "bc@x"], ["ab@x"], [])}
    assert len(digests) == 4


def test_a_whole_list_gives_its_time_and_entries():
    """Epoch seconds, and the entries as they stand."""
    assert whole(BODY) == (1_780_401_600.0, ["a@x.com", "b@x.com"])


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-06-02T12:00:00", 1_780_401_600.0),
        ("2026-06-02T14:00:00+02:00", 1_780_401_600.0),
        ("2026-06-02T12:00:00.250Z", 1_780_401_600.25),
        (" 2026-06-02T12:00:00Z ", 1_780_401_600.0),
    ],
)
def test_a_list_tells_its_time_with_or_without_an_offset(text, moment):
    """Without one it is UTC, as everywhere in the API."""
    assert whole(BODY | {"as_of": text})[0] == moment


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "a@x.com",
        {},
        {"as_of": AS_OF, "count": 0},
        BODY | {"emails": {"a@x.com": 1, "b@x.com": 2}},
        BODY | {"emails": "a@x.com"},
        BODY | {"emails": None},
        BODY | {"count": 3},
        BODY | {"count": 1},
        BODY | {"count": "2"},
        BODY | {"count": 2.0},
        BODY | {"count": None},
        BODY | {"emails": ["a@x.com"], "count": True},
        {"count": 2, "emails": BODY["emails"]},
        BODY | {"as_of": ""},
        BODY | {"as_of": "yesterday"},
        BODY | {"as_of": 1_780_401_600},
        BODY | {"as_of": None},
        BODY | {"as_of": "0001-01-01T00:00:00+14:00"},
    ],
)
def test_f80_what_is_not_whole_is_refused(body):
    """A wrong count, a wrong type or an unknown age: no list."""
    with pytest.raises(PullFailed, match="not whole"):
        whole(body)


def test_f80_an_empty_list_is_whole():
    """Nobody unsubscribed yet."""
    assert whole({"as_of": AS_OF, "count": 0, "emails": []})[1] == []


def test_f81_entries_become_a_set_of_lower_cased_addresses():
    """Case, blanks and repetition make no second address."""
    entries = ["A@X.com", " a@x.com", "a@x.com", "B@x.com"]
    assert addresses(entries) == (frozenset({"a@x.com", "b@x.com"}), 0)


@pytest.mark.parametrize(
    "entry",
    ["", " ", "nobody", "a@b", "a b@x.com", "a@x.com,b@x.com", None, 7, ["a@x.com"],
     "nul\x00@x.com", "\ud800@x.com", "x" * 320 + "@x.com", "İ" * 310 + "@x.com"],
)  # fmt: skip
def test_f81_a_malformed_entry_is_counted(entry):
    """It is no address, and it spoils no other."""
    assert addresses([entry, "a@x.com"]) == (frozenset({"a@x.com"}), 1)
