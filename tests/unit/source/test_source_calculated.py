"""Keys that are calculated are told from those that stand in a column."""

import pytest

from meisa_cdc.source.affected.calculated import calculated_key


@pytest.mark.parametrize(
    "text",
    [
        "select id as external_id, email from users",
        'select u.id as "external_id" from users u',
        "select (u.id) as external_id from users u",
        "select external_id from (select id as external_id from users) s",
        "with s as (select id as k from users) select s.k as external_id from s",
        "select a.k as external_id from plans p join (select id as k from users) a on true",
        "select id as external_id from users union all select user_id from others",
        """with recursive r as (select id as k from users union select k from r)
        select k as external_id from r""",
        "with users as (select id from app.users) select id as external_id from users",
        "select * from users",
        "select id as external_id from generate_series(1, 2) id",
        "not a query at (all",
        "select email from users",
    ],
)
def test_a_column_is_no_calculation(text: str):
    """Nor is what cannot be understood."""
    assert not calculated_key(text, "postgres")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("select id::text as external_id from users", "CAST(id AS TEXT)"),
        ("select 'u' || id as external_id from users", "'u' || id"),
        ("select k as external_id from (select lower(id) as k from users) s", "LOWER(id)"),
        (
            "with s as (select lower(id) as k from users) select k as external_id from s",
            "LOWER(id)",
        ),
        (
            "select id as external_id from a union (select b.id + c.id as external_id from b, c)",
            "b.id + c.id",
        ),
        (
            "select a.k as external_id from plans p join (select id + 1 as k from users) a on true",
            "id + 1",
        ),
    ],
)
def test_a_calculation_is_shown(text: str, found: str):
    """Wherever in the query it is made."""
    assert calculated_key(text, "postgres") == found
