"""Random data and random changes on a real Postgres: sums hide nothing that a scan finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.snapshot import AppDatabase
from meisa_cdc.state import TemporarySpool, open_state
from meisa_cdc.sync.passes import Passes
from meisa_cdc.testing import HandClock
from tests.unit.sync.comparing import counted, found
from tests.unit.sync.worlds import windows

TABLES = """
create table people (id numeric, email text, name varchar(20), born date, seen timestamptz);
create table facts (
    id int, amount numeric(8, 2), score float8, tags text[], extra jsonb, code char(4),
    token uuid, stamp timestamp, flag boolean
);
"""
PEOPLE = "select id as external_id, email, name, born, seen from people"
FACTS = """select id as external_id, amount, score, tags, extra, code, token::text as token,
stamp, flag from facts -- with a comment at its end"""
KEYS = st.integers(1, 60)
WORDS = st.sampled_from(("", "a", "A", "é", "é", 'with "quotes", and (more)', "x" * 40))
NAMES = st.none() | WORDS.map(lambda word: word[:20])
AMOUNTS = st.none() | st.decimals(-999, 999, places=2)
PERSON = st.tuples(
    KEYS | st.sampled_from((None, "5.0", "5.00")),
    st.sampled_from(("own", "own", "own", "shared@example.com", "nobody", None)),
    NAMES,
    st.sampled_from((None, "2000-01-01", "2000-01-02", "infinity")),
    st.sampled_from((None, "2026-01-01 00:00:00+00", "2026-01-01 01:00:00+01", "-infinity")),
)
FACT = st.tuples(
    KEYS,
    AMOUNTS,
    st.sampled_from((None, 0.0, -0.0, 0.1, "nan", 1e300)),
    st.none() | st.lists(WORDS, max_size=2),
    st.sampled_from((None, "{}", '{"a": 1}', '{"a": 1.0}', '[null, "1"]')),
    st.sampled_from((None, "ab", "AB")),
    st.sampled_from((None, "00000000-0000-0000-0000-000000000001")),
    st.sampled_from((None, "2026-01-01 00:00:00", "infinity")),
    st.none() | st.booleans(),
)
STEP = st.fixed_dictionaries(
    {
        "gone": st.lists(KEYS, max_size=2),
        "people": st.lists(PERSON, max_size=2),
        "facts": st.lists(FACT, max_size=3),
        "lost": st.lists(KEYS, max_size=2),
        "due": st.sampled_from((("people", "facts"), ("people", "facts"), ("people",), ("facts",))),
        "stored": st.booleans(),
    }
)


def mapping(name: str, text: str, capture: str) -> Mapping:
    """Return a mapping."""
    return Mapping(name=f"contacts/{name}", text=text, digest="1", capture=capture)


@contextmanager
def passes(url: str) -> Iterator[Passes]:
    """Yield what looks at the database, with a fresh state."""
    clock = HandClock()
    with (
        TemporaryDirectory() as folder,
        open_state(f"sqlite:///{Path(folder, 'state.db')}", clock=clock) as state,
    ):
        yield Passes(
            source=AppDatabase(url),
            state=state,
            spool=TemporarySpool,
            clock=clock,
            guard=GuardSettings(first_load="send", min_contacts=5, max_change=0.5),
            windows=windows(),
            zone=ZoneInfo("UTC"),
        )


def captured_by(passes: Passes, capture: str) -> Passes:
    """Return the same, with mappings of this capture."""
    named = {"people": PEOPLE, "facts": FACTS}
    mappings = [mapping(name, text, capture) for name, text in named.items()]
    return replace(passes, mappings={each.name: each for each in mappings})


def change(connection: psycopg.Connection[Any], step: dict[str, Any]) -> None:
    """Do to the database what a step says."""
    connection.execute("delete from people where id = any(%s)", [step["gone"]])
    connection.execute("delete from facts where id = any(%s)", [step["lost"]])
    for key, email, *rest in step["people"]:
        connection.execute("delete from people where id = %s and random() < 0.9", [key])
        address = f"{key}@example.com" if email == "own" else email
        values = [key, address, *rest]
        connection.execute("insert into people values (%s, %s, %s, %s, %s)", values)
    for fact in step["facts"]:
        connection.execute("delete from facts where id = %s and random() < 0.9", [fact[0]])
        places = ", ".join(["%s"] * len(fact))
        connection.execute(f"insert into facts values ({places})", fact)


@pytest.fixture(scope="module")
def sifted() -> Iterator[list[str]]:
    """Yield a list for the mappings of which not every row was read; there have to be some."""
    names: list[str] = []
    yield names
    assert len(names) > 10


@given(steps=st.lists(STEP, min_size=2, max_size=6))
@settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_both_captures_find_the_same(
    postgres_url: str, sifted: list[str], steps: list[dict[str, Any]]
):
    """Whatever is invalid, held, twice there, without a key, stored or only looked at."""
    plain = postgres_url.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection, passes(postgres_url) as blank:
        connection.execute("drop table if exists people, facts")
        connection.execute("select setseed(0.5)")
        connection.execute(TABLES)
        for key in range(1, 41):
            address = f"{key}@example.com"
            connection.execute("insert into people values (%s, %s, 'N')", [key, address])
            connection.execute("insert into facts (id, amount) values (%s, 1)", [key])
        sums, scan = captured_by(blank, "checksum"), captured_by(blank, "scan")
        with sums.look(sums.mappings, whole=False) as look:
            sums.admit(look, replace_holds=False)
        for step in steps:
            change(connection, step)
            sums.clock.sleep(60.0)
            due = [f"contacts/{name}" for name in step["due"]]
            with scan.look(due, whole=False) as look:
                expected = found(look), counted(look), look.plan.digest
            with sums.look(due, whole=False) as look:
                assert (found(look), counted(look), look.plan.digest) == expected
                taken = look.captured.taken.items()
                sifted += [name for name, each in taken if each.full_at < sums.clock.now()]
                if step["stored"]:
                    sums.admit(look, replace_holds=False)
