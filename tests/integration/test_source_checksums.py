"""What Postgres and MariaDB add up, and the rows behind it."""

from collections import Counter
from collections.abc import Sequence

import pytest
from sqlalchemy import NullPool, create_engine, text

from meisa_cdc.core.checksums import (
    Buckets,
    Checksums,
    Within,
    bits_for,
    coarser,
    differing,
    gathered,
    replaced,
)
from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.snapshot import DatabaseSnapshot

USERS = """
create table users (
    id integer, email varchar(50), plan varchar(20), amount decimal(8, 2), born date, seen timestamp
)
"""
QUERY = "select id as external_id, email, plan, amount, born, seen from users -- all of them"
BITS = 6


def mapping(text: str = QUERY, capture: str = "auto") -> Mapping:
    """Return a mapping with this text."""
    return Mapping(name="contacts/plan", text=text, digest=text, capture=capture)


def execute(url: str, *statements: str) -> None:
    """Change the app database, as the app would."""
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement.replace(":", "\\:")))


@pytest.fixture(params=["postgres_url", "mariadb_url"])
def url(request: pytest.FixtureRequest) -> str:
    """Return each database that adds up, with a hundred users in it."""
    url: str = request.getfixturevalue(request.param)
    rows = ", ".join(
        f"({n}, 'user{n}@x.io', 'free', {n}.50, '2000-01-01', '2026-01-01 00:00:00')"
        for n in range(1, 101)
    )
    execute(url, USERS, f"insert into users values {rows}")
    return url


def sums(url: str, query: Mapping | None = None) -> Buckets:
    """Return what a mapping's rows add up to now."""
    with AppDatabase(url).snapshot() as snapshot:
        return snapshot.checksums(query or mapping(), BITS)


def changed(before: Buckets, now: Buckets) -> frozenset[int]:
    """Return the buckets that differ."""
    return differing(Checksums(scheme="", buckets=before, full_at=0.0), now)


def flat(batches) -> list[Sequence[object]]:
    """Return all rows."""
    return [row for batch in batches for row in batch]


def placed(snapshot: DatabaseSnapshot, **only) -> list[Sequence[object]]:
    """Return rows with their places."""
    return flat(snapshot.placed(mapping(), **only))


def test_rows_are_counted_in_the_bucket_of_their_place(url: str):
    """A place does not depend on how the rows are asked for."""
    with AppDatabase(url).snapshot() as snapshot:
        buckets = snapshot.checksums(mapping(), BITS)
        rows = placed(snapshot)
        assert buckets.rows == len(rows) == 100
        assert dict(Counter(int(str(row[-1])) % 64 for row in rows)) == {
            bucket: count for bucket, count in enumerate(buckets.counts) if count
        }
        wanted = {int(str(rows[0][-1])) % 64, 5}
        some = placed(snapshot, within=Within(buckets=frozenset(wanted), bits=BITS))
        assert some == [row for row in rows if int(str(row[-1])) % 64 in wanted]
        assert placed(snapshot, keys=["7"]) == [row for row in rows if row[0] == 7]
        assert snapshot.checksums(mapping(), BITS) == buckets
        assert snapshot.checksums(mapping(), BITS - 4) == coarser(buckets, BITS - 4)
        few = Within(buckets=frozenset({1, 2}), bits=BITS - 4)
        inside = snapshot.checksums(mapping(), BITS, few)
        nothing = gathered(BITS, [])
        assert inside == replaced(nothing, few, buckets)
        assert bits_for(buckets.rows) == 4


def test_keys_are_listed_beside_the_sums(url: str):
    """On Postgres, as rows have them."""
    execute(url, "insert into users (email) values ('nobody')")
    with AppDatabase(url).snapshot() as snapshot:
        within = Within(buckets=frozenset(range(8)), bits=BITS - 3)
        buckets, keys = snapshot.listed(mapping(), BITS, within)
        assert buckets == snapshot.checksums(mapping(), BITS)
        by_bucket: dict[int, Counter[object]] = {}
        for row in placed(snapshot):
            by_bucket.setdefault(int(str(row[-1])) % 64, Counter())[row[0]] += 1
        postgres = url.startswith("postgresql")
        assert {n: Counter(each) for n, each in keys.items()} == (by_bucket if postgres else {})


@pytest.mark.parametrize(
    "key",
    [
        "id",
        "id::bigint * 5000000000",
        "id::numeric(8, 2)",
        "'u' || id",
        "('u' || id)::char(9)",
        "md5(id::text)::uuid",
        "id::text::mood",
    ],
)
def test_keys_of_any_type_are_listed_as_rows_have_them_or_not_at_all(postgres_url: str, key: str):
    """A key that is spelled otherwise would find no row, or another one's."""
    values = ", ".join(f"'{n}'" for n in range(1, 21))
    execute(postgres_url, f"create type mood as enum ({values})")
    query = mapping(f"select {key} as external_id, id as n from generate_series(1, 20) id")
    with AppDatabase(postgres_url).snapshot() as snapshot:
        rows = flat(snapshot.placed(query))
        _, keys = snapshot.listed(query, BITS, Within(buckets=frozenset({0}), bits=0))
        listed = [each for some in keys.values() for each in some]
        # No driver knows the arrays of an enumeration.
        known = "mood" not in key
        assert Counter(map(repr, listed)) == Counter(repr(row[0]) for row in rows if known)


@pytest.mark.parametrize(
    "change",
    [
        "update users set plan = 'pro' where id = 7",
        "update users set plan = 'Free' where id = 7",
        "update users set plan = null where id = 7",
        "update users set plan = '', email = 'user7@x.iofree' where id = 7",
        "update users set amount = amount + 0.01 where id = 7",
        "update users set born = '2000-01-02' where id = 7",
        "update users set seen = '2026-01-01 00:00:01' where id = 7",
        "delete from users where id = 7",
        "insert into users (id) values (7)",
        "insert into users (email) values ('nobody')",
    ],
)
def test_every_change_makes_one_bucket_differ(url: str, change: str):
    """And nothing else does; once it is undone, all is as it was."""
    before = sums(url)
    execute(url, change)
    assert len(changed(before, sums(url))) == 1


def test_swapped_values_differ(url: str):
    """Two columns with each other's values, a value moved to the neighbour."""
    execute(url, "update users set plan = 'a', email = 'b' where id = 7")
    before = sums(url)
    execute(url, "update users set plan = 'b', email = 'a' where id = 7")
    assert len(changed(before, sums(url))) == 1


def test_the_scheme_tells_types_and_columns(url: str):
    """What is hashed otherwise cannot be compared."""
    app = AppDatabase(url)
    texts = (
        QUERY,
        "select id as external_id, plan from users",
        "select 'x' as external_id, 1 as n",
    )
    with app.snapshot() as snapshot:
        schemes = [snapshot.scheme(mapping(each)) for each in texts]
        assert schemes[0] == snapshot.scheme(mapping())
    assert len(set(schemes)) == 3
    assert None not in schemes


def test_what_differs_from_call_to_call_is_scanned(url: str):
    """Sums of it would be of something else than the rows that are read."""
    app = AppDatabase(url)
    unsteady = "random()" if app.dialect.name == "postgresql" else "rand()"
    query = f"select id as external_id, {unsteady} as lot from users"
    found = app.capture_of(mapping(query))
    assert (found.kind, found.why[:4]) == ("scan", unsteady[:4])
    with app.snapshot() as snapshot:
        assert snapshot.scheme(mapping(query)) is None
        assert snapshot.scheme(mapping(capture="scan")) is None
        with pytest.raises(MappingError, match="cannot be, since rand"):
            snapshot.scheme(mapping(query, capture="checksum"))
    assert app.capture_of(mapping()).kind == "checksum"


def test_sqlite_is_scanned(sqlite_url: str):
    """It has nothing to gain."""
    execute(sqlite_url, USERS)
    app = AppDatabase(sqlite_url)
    assert app.capture_of(mapping()).kind == "scan"
    with app.snapshot() as snapshot:
        assert snapshot.scheme(mapping()) is None
