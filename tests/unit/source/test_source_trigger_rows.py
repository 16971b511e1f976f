"""What triggers wrote, as changes."""

from meisa_cdc.source.affected.asking import Change
from meisa_cdc.source.changelog import MOST_BYTES, MOST_CHANGES
from meisa_cdc.source.trigger_rows import Gathered


def gathered() -> Gathered:
    """Return what knows two tables, of which one is wanted."""
    return Gathered(tables={1: "a", 2: "b"}, wanted={"a": {"id", "n"}})


def test_only_wanted_columns_of_wanted_tables_are_kept():
    """Rows of others count all the same; what is unclear is told apart."""
    found = gathered()
    rows = [
        (1, "row", '{"id": "1", "n": null, "x": "y"}', None),
        (2, "row", None, '{"id": "1"}'),
        (3, "row", None, '{"id": "1"}'),
        (2, "emptied", None, None),
    ]
    assert found.take(rows)
    assert found.changes == {"a": [Change(old={"id": "1", "n": None}, new=None)]}
    assert found.unsure == set()
    assert found.take([(1, "unclear", None, None)])
    assert found.unsure == {"a"}


def test_there_is_a_most_of_rows_and_of_bytes():
    """One more is too many."""
    assert gathered().take([(2, "row", None, "{}")] * MOST_CHANGES)
    assert not gathered().take([(2, "row", None, "{}")] * (MOST_CHANGES + 1))
    text = "x" * (MOST_BYTES // 16)
    assert gathered().take([(2, "row", text, text)] * 8)
    assert not gathered().take([(2, "row", text, text)] * 9)
