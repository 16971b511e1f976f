"""Random data and random changes on real servers: sums hide nothing that a scan finds."""

import json
from collections.abc import Callable, Iterator, Mapping as Dict
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pymysql
import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st
from sqlalchemy import make_url

from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.state import TemporarySpool, open_state
from meisa_cdc.sync.passes import Passes
from meisa_cdc.testing import HandClock
from tests.unit.sync.comparing import counted, found
from tests.unit.sync.worlds import windows

PEOPLE = "select id as external_id, email, name, born, seen from people"
FACTS = """select id as external_id, amount, score, tags, extra, code,
cast(token as char(36)) as token, stamp, flag from facts -- with a comment at its end"""
VALUES = ("amount", "score", "tags", "extra", "code", "token", "stamp", "flag")
KEYS = st.integers(1, 60)
WORDS = st.sampled_from(("", "a", "A", "\u00e9", "e\u0301", 'with "quotes", and (more)', "x" * 40))
NAMES = st.none() | WORDS.map(lambda word: word[:20])
AMOUNTS = st.none() | st.decimals(-999, 999, places=2)
#: Whether rows with the same key make room, as they nearly always do.
ALONE = st.sampled_from((True,) * 9 + (False,))
PERSON = st.tuples(
    ALONE,
    KEYS | st.sampled_from((None, "5.0", "5.00")),
    st.sampled_from(("own", "own", "own", "shared@example.com", "nobody", None)),
    NAMES,
    st.sampled_from((None, "2000-01-01", "2000-01-02", "infinity")),
    st.sampled_from((None, "2026-01-01 00:00:00+00", "2026-01-01 01:00:00+01", "-infinity")),
)
FACT = st.tuples(
    ALONE,
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
        # One column alone: its number, and a row with the key and the value.
        "edits": st.lists(st.tuples(st.integers(0, len(VALUES) - 1), FACT), max_size=4),
        "lost": st.lists(KEYS, max_size=2),
        "due": st.sampled_from((("people", "facts"), ("people", "facts"), ("people",), ("facts",))),
        "stored": st.booleans(),
    }
)


#: Does a statement with these values.
Do = Callable[[str, list[Any]], object]


@contextmanager
def on_postgres(url: str) -> Iterator[Do]:
    """Connect to the app database as the app does."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection.execute


@contextmanager
def on_mariadb(url: str) -> Iterator[Do]:
    """Connect as an old app does, which writes dates that are none."""
    place = make_url(url)
    with closing(
        pymysql.connect(
            host=place.host or "",
            port=place.port or 0,
            user=place.username,
            password=place.password or "",
            database=place.database,
            autocommit=True,
            init_command="set session sql_mode = ''",
        )
    ) as connection:
        cursor = connection.cursor()

        def do(statement: str, values: list[Any]) -> object:
            spelled = [json.dumps(v) if isinstance(v, list) else v for v in values]
            return cursor.execute(statement, spelled)

        yield do


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of server, its tables with types of its own."""

    #: The fixture with the URL of an empty database.
    fixture: str
    connect: Callable[[str], AbstractContextManager[Do]]
    people: str
    facts: str
    #: Values that it has no such thing as, and what stands for them.
    spelled: Dict[str, object] = field(default_factory=dict)

    def step(self, drawn: Any) -> Any:
        """Return a step with values that this server takes."""
        if isinstance(drawn, dict):
            return {name: self.step(each) for name, each in drawn.items()}
        if isinstance(drawn, (list, tuple)):
            return [self.step(each) for each in drawn]
        return self.spelled.get(drawn, drawn) if isinstance(drawn, str) else drawn


KINDS = (
    Kind(
        fixture="postgres_url",
        connect=on_postgres,
        people="id numeric, email text, name varchar(20), born date, seen timestamptz",
        facts="""id int, amount numeric(8, 2), score float8, tags text[], extra jsonb,
        code char(4), token uuid, stamp timestamp, flag boolean""",
    ),
    Kind(
        fixture="mariadb_url",
        connect=on_mariadb,
        people="""id decimal(6, 2), email varchar(100), name varchar(20), born date,
        seen timestamp null""",
        facts="""id int, amount decimal(8, 2), score double, tags json, extra json,
        code char(4), token char(36), stamp datetime(6), flag boolean""",
        spelled={
            "infinity": "0000-00-00",
            "-infinity": "0000-00-00 00:00:00",
            "2026-01-01 00:00:00+00": "2026-01-01 00:00:00",
            "2026-01-01 01:00:00+01": "2026-01-01 00:00:00.000",
            "nan": 0.30000000000000004,
        },
    ),
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


def change(do: Do, step: dict[str, Any]) -> None:
    """Do to the database what a step says."""
    for key in step["gone"]:
        do("delete from people where id = %s", [key])
    for key in step["lost"]:
        do("delete from facts where id = %s", [key])
    for alone, key, email, *rest in step["people"]:
        if alone:
            do("delete from people where id = %s", [key])
        address = f"{key}@example.com" if email == "own" else email
        do("insert into people values (%s, %s, %s, %s, %s)", [key, address, *rest])
    for alone, *fact in step["facts"]:
        if alone:
            do("delete from facts where id = %s", [fact[0]])
        do(f"insert into facts values ({', '.join(['%s'] * len(fact))})", fact)
    for number, (_, key, *values) in step["edits"]:
        do(f"update facts set {VALUES[number]} = %s where id = %s", [values[number], key])


@pytest.fixture(params=KINDS, ids=lambda kind: kind.fixture)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Return each kind of server that can add up."""
    each: Kind = request.param
    return each


@pytest.fixture
def url(request: pytest.FixtureRequest, kind: Kind) -> str:
    """Return an empty database on it."""
    url: str = request.getfixturevalue(kind.fixture)
    return url


@pytest.fixture
def sifted() -> Iterator[list[str]]:
    """Yield a list for the mappings of which not every row was read; there have to be some."""
    names: list[str] = []
    yield names
    assert len(names) > 10


@given(steps=st.lists(STEP, min_size=2, max_size=6))
@settings(
    max_examples=12,
    derandomize=True,
    # No shrinking: what fails is a handful of steps, and each try takes a second.
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_both_captures_find_the_same(
    kind: Kind, url: str, sifted: list[str], steps: list[dict[str, Any]]
):
    """Whatever is invalid, held, twice there, without a key, stored or only looked at."""
    with kind.connect(url) as do, passes(url) as blank:
        do("drop table if exists people, facts", [])
        do(f"create table people ({kind.people})", [])
        do(f"create table facts ({kind.facts})", [])
        for key in range(1, 41):
            address = f"{key}@example.com"
            do("insert into people values (%s, %s, 'N', null, null)", [key, address])
            do("insert into facts (id, amount) values (%s, 1)", [key])
        sums, scan = captured_by(blank, "checksum"), captured_by(blank, "scan")
        with sums.look(sums.mappings, whole=False) as look:
            sums.admit(look, replace_holds=False)
        for step in steps:
            change(do, kind.step(step))
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
