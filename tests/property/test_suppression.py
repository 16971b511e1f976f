"""What holds for every suppression list."""

from hypothesis import example, given, strategies as st

from meisa_cdc.core.errors import SuppressionFailed
from meisa_cdc.core.suppression import LEAST_HELD, addresses, decide, whole

names = st.text(alphabet="abAB.é", min_size=1, max_size=3).map(lambda name: f"{name}@x.com")
tables = st.frozensets(names.map(str.lower), max_size=40)
shares = st.floats(min_value=0, max_value=1)


def after(table: frozenset[str], listed: frozenset[str], share: float, approve: str = ""):
    """Return (the table afterwards, the decision)."""
    decision = decide(sorted(table), listed, max_release=share, approve=approve)
    return (table - set(decision.released)) | set(decision.added), decision


@given(table=tables, listed=tables, share=shares)
def test_f80_the_table_becomes_the_list_but_for_held_releases(table, listed, share):
    """Nothing suppressed is ever lost; all else equals the list."""
    result, decision = after(table, listed, share)
    assert listed <= result
    assert len(result) == decision.count
    assert len(result - listed) == decision.held
    assert result == listed or decision.held >= LEAST_HELD


@given(table=tables, listed=tables, share=shares)
def test_f80_no_pull_releases_more_than_the_limit(table, listed, share):
    """Without approval at most the share, or fewer than ten."""
    _, decision = after(table, listed, share)
    assert len(decision.released) <= max(share * len(table), LEAST_HELD - 1)


@given(table=tables, listed=tables, share=shares)
def test_approving_what_was_shown_makes_the_table_the_list(table, listed, share):
    """Then nothing is held any longer, and a further pull changes nothing."""
    _, shown = after(table, listed, share)
    result, _ = after(table, listed, share, approve=shown.digest)
    assert result == listed
    again, decision = after(result, listed, share)
    assert (again, decision.added, decision.released) == (listed, [], [])


@given(entries=st.lists(names | st.sampled_from(["", "nobody", None, 5]), max_size=30))
@example(entries=["A@x.com", "a@x.com"])
def test_f81_order_case_and_repetition_do_not_matter(entries):
    """Each good entry is there in lower case, each other one is counted."""
    found, malformed = addresses(entries)
    good = [entry for entry in entries if isinstance(entry, str) and "@" in entry]
    assert found == {entry.lower() for entry in good}
    assert malformed == len(entries) - len(good)
    assert addresses(reversed(entries * 2)) == (found, malformed * 2)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
bodies = json_values | st.fixed_dictionaries(
    {},
    optional={
        "as_of": json_values | st.just("2026-06-02T12:00:00Z"),
        "count": json_values | st.integers(min_value=0, max_value=3),
        "emails": json_values | st.lists(names, max_size=3),
    },
)


@given(body=bodies)
@example(body={"as_of": "2026-06-02T12:00:00Z", "count": 0, "emails": []})
def test_f80_any_json_is_either_whole_or_refused(body):
    """There is no third way, and what is whole has the entries it says."""
    try:
        _, entries = whole(body)
    except SuppressionFailed:
        return
    assert type(body["count"]) is int
    assert body["count"] == len(entries)
