"""When a plan is held."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from meisa_cdc.core.guard import GuardSettings, Hold, Tally, column_differences, judge
from meisa_cdc.core.mapping import Column

COLUMNS = (Column(name="external_id", type="integer"), Column(name="plan", type="text"))
QUIET = Tally(
    mapping="contacts/plan",
    covered=1000,
    changed=0,
    lost=0,
    rows=1000,
    edited=False,
    columns_before=COLUMNS,
    columns_now=COLUMNS,
    digest="d1",
)
FIRST = Hold(mapping="contacts/people", reason="first_load", message="", contacts=101, digest="d0")


def verdict(tally: Tally, settings: GuardSettings | None = None) -> str:
    """Return why one mapping is held; empty where it is not."""
    holds = judge([tally], settings or GuardSettings(), first_load=None)
    return holds[0].reason if holds else ""


def test_a_quiet_pass_is_not_held():
    """Nothing changed, nothing is a surprise."""
    assert verdict(QUIET) == ""


@pytest.mark.parametrize("covered", [1, 99, 100, 1000])
def test_f45_a_mapping_that_is_suddenly_empty_is_held_whatever_its_size(covered: int):
    """Even one contact's row is enough, and an edited file is no excuse."""
    tally = replace(QUIET, covered=covered, rows=0, lost=covered, edited=True)
    holds = judge([tally], GuardSettings(), first_load=None)
    assert holds == (
        Hold(
            mapping="contacts/plan",
            reason="empty",
            message=f"it had {covered} rows and has none now",
            contacts=covered,
            digest="d1",
        ),
    )


def test_f45_a_mapping_that_never_had_a_row_may_have_none():
    """It is empty after it was empty."""
    assert verdict(replace(QUIET, covered=0, rows=0)) == ""


@pytest.mark.parametrize(
    ("lost", "reason"), [(0, ""), (99, ""), (100, ""), (101, "max_missing"), (1000, "max_missing")]
)
def test_f45_more_lost_rows_than_allowed_are_held(lost: int, reason: str):
    """The limit itself, 10 % of 1,000, is allowed."""
    assert verdict(replace(QUIET, lost=lost)) == reason


@pytest.mark.parametrize(
    ("changed", "reason"), [(0, ""), (299, ""), (300, ""), (301, "max_change"), (999, "max_change")]
)
def test_f46_more_changes_than_allowed_are_held(changed: int, reason: str):
    """The limit itself, 30 % of 1,000, is allowed; an edited file is judged alike."""
    assert verdict(replace(QUIET, changed=changed)) == reason
    assert verdict(replace(QUIET, changed=changed, edited=True)) == reason


def test_f46_the_limit_itself_is_never_held():
    """Float products such as 0.29 * 100 lie below the whole number they mean."""
    for percent in range(100):
        settings = GuardSettings(max_change=percent / 100, max_missing=percent / 100)
        at_limit = replace(QUIET, covered=100, changed=percent, lost=percent)
        assert verdict(at_limit, settings) == ""
        assert verdict(replace(at_limit, lost=0, changed=percent + 1), settings) == "max_change"
        assert verdict(replace(at_limit, changed=0, lost=percent + 1), settings) == "max_missing"


def test_f46_a_hold_says_how_many_of_how_many():
    """With the limit as it was set, and what an approval has to name."""
    settings = GuardSettings(max_change=0.125)
    (hold,) = judge([replace(QUIET, changed=500)], settings, first_load=None)
    assert hold.message == "500 of 1000 contacts would change, over 12.5 %"
    assert (hold.contacts, hold.digest) == (500, "d1")
    (hold,) = judge([replace(QUIET, lost=291)], GuardSettings(max_missing=0.29), first_load=None)
    assert hold.message == "291 of 1000 contacts lost their row, over 29 %"
    assert hold.contacts == 291


@pytest.mark.parametrize(
    ("covered", "least", "reason"),
    [
        (99, 100, ""),
        (100, 100, "max_change"),
        (1, 0, "max_change"),
        (0, 0, ""),
        (1, 1, "max_change"),
    ],
)
def test_shares_are_judged_from_a_number_of_contacts_on(covered: int, least: int, reason: str):
    """A few contacts may all change at once; of none there is no share."""
    tally = replace(QUIET, covered=covered, changed=max(covered, 1), rows=covered + 1)
    assert verdict(tally, GuardSettings(min_contacts=least)) == reason


def test_nothing_may_change_where_nothing_is_allowed():
    """A limit of 0 % holds the first change; one of 100 % holds none."""
    one = replace(QUIET, changed=1)
    assert verdict(one, GuardSettings(max_change=0.0)) == "max_change"
    assert verdict(replace(QUIET, changed=1000), GuardSettings(max_change=1.0)) == ""


@pytest.mark.parametrize(
    ("now", "texts"),
    [
        (COLUMNS, []),
        (COLUMNS[::-1], []),
        (COLUMNS[:1], ["column plan is gone"]),
        ((*COLUMNS, Column(name="seats")), ["column seats is new"]),
        (
            (COLUMNS[0], Column(name="tier", type="text")),
            ["column plan is gone", "column tier is new"],
        ),
        (
            (COLUMNS[0], Column(name="plan", type="integer")),
            ["column plan was text and is integer"],
        ),
        ((COLUMNS[0], Column(name="plan")), []),
    ],
    ids=["same", "order", "dropped", "added", "renamed", "type", "no type known"],
)
def test_f25_what_became_of_the_columns_is_told(now: Sequence[Column], texts: list[str]):
    """Their order means nothing, and engines without types have none to compare."""
    assert column_differences(COLUMNS, now) == texts
    assert verdict(replace(QUIET, columns_now=now)) == ("columns" if texts else "")


def test_f25_columns_are_held_whatever_the_number_of_contacts():
    """The message shows all the differences."""
    tally = replace(QUIET, covered=3, changed=2, columns_now=(COLUMNS[0], Column(name="tier")))
    (hold,) = judge([tally], GuardSettings(), first_load=None)
    assert (hold.reason, hold.contacts) == ("columns", 2)
    assert hold.message == "column plan is gone; column tier is new"


def test_f25_an_edit_of_the_file_explains_other_columns():
    """Its author meant them."""
    assert verdict(replace(QUIET, edited=True, columns_now=COLUMNS[:1])) == ""


def test_f25_a_mapping_that_was_never_read_has_no_columns_to_miss():
    """There is nothing to compare with."""
    assert column_differences((), COLUMNS) == []


def test_each_mapping_is_judged_by_itself():
    """What is not held goes out."""
    tallies = [
        replace(QUIET, mapping="contacts/a", changed=301),
        replace(QUIET, mapping="contacts/b"),
        replace(QUIET, mapping="contacts/c", rows=0),
    ]
    holds = judge(tallies, GuardSettings(), first_load=None)
    assert [(hold.mapping, hold.reason) for hold in holds] == [
        ("contacts/a", "max_change"),
        ("contacts/c", "empty"),
    ]


@pytest.mark.parametrize(
    ("contacts", "settings", "held"),
    [
        (101, GuardSettings(), True),
        (100, GuardSettings(), False),
        (0, GuardSettings(), False),
        (1, GuardSettings(min_contacts=0), True),
        (50_000, GuardSettings(first_load="send"), False),
    ],
    ids=["over", "at the limit", "empty", "no limit", "send"],
)
def test_a_large_first_load_is_held_as_a_whole(contacts: int, settings: GuardSettings, held: bool):
    """Nothing else has to be judged then, for everything waits."""
    first = replace(FIRST, contacts=contacts)
    assert judge([QUIET], settings, first_load=first) == ((first,) if held else ())


def test_a_first_load_that_is_not_held_leaves_every_mapping_to_be_judged():
    """There may be contacts already, which a baseline took as sent."""
    loud = replace(QUIET, rows=0)
    holds = judge([loud], GuardSettings(), first_load=replace(FIRST, contacts=3))
    assert [hold.reason for hold in holds] == ["empty"]
