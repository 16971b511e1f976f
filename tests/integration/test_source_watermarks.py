"""Keys of rows that changed lately, as each database finds them."""

import pytest
from sqlalchemy import NullPool, create_engine, text

from meisa_cdc.core.errors import MappingError, MappingFailed
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from tests.conftest import AppDatabase as Given

POSTS = "create table posts (id integer, author integer, at {}, title varchar(20))"
ROWS = """
insert into posts values
    (1, 7, '2026-01-12 08:29:59', 'a'), (2, 7, '2026-01-12 08:30:00', 'b'),
    (3, 8, '2026-01-11 23:00:00', 'c'), (4, 9, '2026-01-13 00:00:00', 'd'),
    (5, 10, null, 'e'), (6, null, '2026-01-13 00:00:00', 'f')
"""
SINCE = "2026-01-12 08:30:00"
#: Counts posts; the condition on the time would leave most of them out.
COUNTS = """
select p.author as external_id, count(*) as posts
from posts p
where {{ changed_since('p.at') }} and {{ only('p.author') }}
group by p.author -- all of them
"""


def mapping(query: str = COUNTS, capture: str = "watermark", kind: str = "contacts") -> Mapping:
    """Return a mapping with this text."""
    name = f"{kind}/posts"
    return Mapping(name=name, kind=kind, text=query, digest=query, capture=capture)


def execute(url: str, *statements: str) -> None:
    """Change the app database, as the app would."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


TYPES = {
    "postgresql": {"timestamp": "timestamp", "timestamptz": "timestamptz", "date": "date"},
    "mysql": {"timestamp": "timestamp null", "datetime": "datetime(6)"},
    "sqlite": {"timestamp": "timestamp", "text": "text", "epoch": "integer"},
}


def posts(given: Given, kind: str = "timestamp") -> None:
    """Make posts that are dated by a column of this kind."""
    execute(given.url, POSTS.format(TYPES[given.dialect][kind]), ROWS)
    if kind == "epoch":
        execute(given.url, "update posts set at = unixepoch(at)")


def keys_since(given: Given, query: Mapping, since: str = SINCE) -> list[str]:
    """Return the keys of the rows that changed."""
    with AppDatabase(given.url).snapshot() as snapshot:
        assert snapshot.capture(query).kind == "watermark"
        return sorted(key for batch in snapshot.keys_since(query, since) for key in batch)


@pytest.mark.parametrize(
    ("app_database", "kind"),
    [(dialect, kind) for dialect, kinds in TYPES.items() for kind in kinds],
    indirect=["app_database"],
)
def test_keys_of_changed_rows_are_found(app_database: Given, kind: str):
    """Those at that very time are among them; of a date, the whole day."""
    posts(app_database, kind)
    # Seconds since 1970 are no time to SQLite: whatever has any is looked at.
    expected = ["7", "8", "9"] if kind == "epoch" else ["7", "9"]
    assert keys_since(app_database, mapping()) == expected


def test_what_is_read_by_key_is_whole(app_database: Given):
    """A count is not that of the changed rows alone; a full read knows no time either."""
    posts(app_database)
    with AppDatabase(app_database.url).snapshot() as snapshot:
        some = [tuple(row) for batch in snapshot.read(mapping(), ["7", "9"]) for row in batch]
        every = [row for batch in snapshot.read(mapping()) for row in batch]
    assert sorted(some) == [(7, 2), (9, 1)]
    assert len(every) == 5


def test_the_keys_of_tags_are_found(app_database: Given):
    """Though its query is gathered by contact."""
    posts(app_database)
    query = """
    select author as external_id, title as tag_name
    from posts where {{ changed_since('at') }} and author is not null
    """
    assert keys_since(app_database, mapping(query, kind="tags")) == ["7", "9"]


def test_a_quoted_column_is_one(app_database: Given):
    """With its alias."""
    posts(app_database)
    quote = "`" if app_database.dialect == "mysql" else '"'
    column = f"p.{quote}at{quote}"
    query = COUNTS.replace("changed_since('p.at')", f"changed_since('{column}')")
    assert keys_since(app_database, mapping(query)) == ["7", "9"]


def test_without_a_column_there_is_no_watermark(app_database: Given):
    """The author is told how to name one."""
    query = mapping("select author as external_id from posts")
    with pytest.raises(MappingError, match="nothing says when a row changed") as refused:
        AppDatabase(app_database.url).capture_of(query)
    assert "changed_since('u.updated_at')" in refused.value.hint


def test_otherwise_the_column_means_nothing(app_database: Given):
    """A mapping may be scanned for a while."""
    posts(app_database)
    with AppDatabase(app_database.url).snapshot() as snapshot:
        assert snapshot.capture(mapping(capture="scan")).kind == "scan"
        assert sum(len(batch) for batch in snapshot.read(mapping(capture="scan"))) == 5


def test_a_column_that_is_no_time_fails_its_mapping(postgres_url: str):
    """With what the server says."""
    given = Given(dialect="postgresql", url=postgres_url)
    posts(given)
    query = mapping(COUNTS.replace("p.at", "p.id"))
    with AppDatabase(given.url).snapshot() as snapshot:
        with pytest.raises(MappingFailed, match="integer"):
            list(snapshot.keys_since(query, SINCE))
        assert list(snapshot.keys_since(mapping(), SINCE))


def test_an_end_before_the_last_key_leaves_the_snapshot_usable(app_database: Given):
    """Whoever has seen enough asks for something else."""
    posts(app_database)
    with AppDatabase(app_database.url).snapshot() as snapshot:
        assert next(iter(snapshot.keys_since(mapping(), SINCE)))
        assert sum(len(batch) for batch in snapshot.read(mapping())) == 5
