"""What stands in the way of a log by a slot, and what is left to do, decided on plain values."""

from dataclasses import replace

import pytest

from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.needs import Need
from meisa_cdc.source.slot_facts import PublicationFacts, Role, Server, SlotFacts, TableFacts
from meisa_cdc.source.slot_plan import (
    Facts,
    drop_steps,
    identity_resets,
    owner_problems,
    server_problems,
    setup_steps,
    unpublishable,
)
from meisa_cdc.source.trigger_plan import trigger_problems, unfollowable

SERVER = Server(
    version=160_000,
    standby=False,
    wal_level="logical",
    keeps="8GB",
    slots=10,
    slots_used=0,
    identity=("1", 1),
    database="app",
)
USERS = TableFacts(
    name="public.users",
    kind="r",
    partition=False,
    identity="d",
    owned=True,
    identifying=frozenset({"id"}),
    identity_generated=False,
    generated=False,
    primary_key=True,
    published_elsewhere=False,
)
PUBLICATION = PublicationFacts(
    everything=False,
    whole=True,
    owned=True,
    tables=("public.users",),
    every_table=("public.users",),
)
SLOT = SlotFacts(
    plugin="pgoutput",
    here=True,
    reader=None,
    wal_status="reserved",
    void=False,
    why_void="",
    kept=0,
)
FACTS = Facts(
    name="meisa_cdc",
    server=SERVER,
    tables={"public.users": USERS},
    publication=None,
    slot=None,
    triggers=None,
    schema="public",
)
NEED = Need(mapping="contacts/plan", tables={"public.users": frozenset({"id"})})
OWNER = Role(name="o'wner", replicates=True, publishes=True, makes_tables=True, schema="public")


def told(server: Server, facts: Facts = FACTS, *, making: bool = True) -> list[str]:
    """Return what stands in the way on that server."""
    found = server_problems(replace(facts, server=server), making=making, unlimited=False)
    return [each.what for each in found]


def sql(facts: Facts, *needs: Need) -> list[str]:
    """Return what is left to do."""
    return [each.sql.partition("(")[0] for each in setup_steps(facts, needs or (NEED,))]


def test_a_server_that_is_ready_has_no_problems() -> None:
    """Nothing is said."""
    assert told(SERVER) == []


@pytest.mark.parametrize(
    ("server", "problem"),
    [
        (replace(SERVER, version=120_005), "the server is older than Postgres 13"),
        (replace(SERVER, standby=True), "the server is a standby"),
        (replace(SERVER, wal_level="replica"), "wal_level is replica"),
        (replace(SERVER, keeps="-1"), "max_slot_wal_keep_size is not set: a slot"),
        (replace(SERVER, keeps=""), "max_slot_wal_keep_size is not set: a slot"),
        (replace(SERVER, slots_used=10), "all 10 replication slots are taken"),
    ],
)
def test_each_thing_that_is_missing_is_told(server: Server, problem: str) -> None:
    """By itself, without a question about the others."""
    (only,) = told(server)
    assert only.startswith(problem)


def test_a_slot_that_is_there_needs_no_room() -> None:
    """Whoever allowed it once is not asked again; nor is there a slot to be free."""
    full = replace(SERVER, keeps="-1", slots_used=10)
    assert told(full, replace(FACTS, slot=SLOT, publication=PUBLICATION), making=False) == []
    assert len(told(full, replace(FACTS, slot=SLOT))) == 1


def test_only_what_is_left_is_done() -> None:
    """From nothing, from half of it, and from all of it."""
    create, make = "create publication ", "select pg_catalog.pg_create_logical_replication_slot"
    assert sql(FACTS)[0].startswith(create)
    assert sql(FACTS)[1:] == [make]
    assert sql(replace(FACTS, publication=PUBLICATION)) == [make]
    dropped = "select pg_catalog.pg_drop_replication_slot"
    half = sql(replace(FACTS, slot=SLOT))
    assert (half[0], half[1].startswith(create), half[2]) == (dropped, True, make)
    assert sql(replace(FACTS, slot=SLOT, publication=PUBLICATION)) == []
    assert sql(FACTS, replace(NEED, tables={}, scan=FullScan(reason="", advice=""))) == []


def test_what_is_somebody_elses_is_not_touched() -> None:
    """Neither on setting up nor on removing."""
    other = replace(SLOT, plugin="test_decoding", void=True)
    all_tables = replace(PUBLICATION, everything=True)
    facts = replace(FACTS, slot=other, publication=all_tables)
    assert sql(facts) == []
    assert drop_steps(facts) == []
    assert told(SERVER, facts) == [
        "the slot meisa_cdc is of another database or another plugin",
        "the publication meisa_cdc has all tables",
    ]
    assert sql(replace(FACTS, slot=replace(SLOT, here=False))) == []


def test_a_name_stays_one_word_of_sql() -> None:
    """Whatever it is; settings allow plain ones alone."""
    (step,) = drop_steps(replace(FACTS, name="o'log", slot=SLOT))
    assert step.sql == "select pg_catalog.pg_drop_replication_slot('o''log');"


def test_whoever_reads_another_publication_is_thought_of() -> None:
    """They are told whole rows, too; and REPLICA IDENTITY FULL stays where they need it."""
    need = replace(NEED, tables={"public.users": frozenset({"id", "team"})})
    shared = replace(USERS, published_elsewhere=True)
    (step, *_) = setup_steps(replace(FACTS, tables={"public.users": shared}), [need])
    assert step.sql == "alter table public.users replica identity full;"
    assert "has to tell what team was" in step.why
    assert "another publication" in step.why
    whole = replace(shared, identity="f", primary_key=False)
    assert identity_resets(replace(FACTS, tables={"public.users": whole})) == []
    alone = replace(whole, published_elsewhere=False)
    assert len(identity_resets(replace(FACTS, tables={"public.users": alone}))) == 1


def test_rights_are_asked_for_what_is_to_be_altered() -> None:
    """Of a role that neither owns the publication nor the tables; a slot alone needs none."""
    stranger = replace(OWNER, publishes=False)
    foreign = replace(
        FACTS,
        tables={"public.users": replace(USERS, owned=False)},
        publication=replace(PUBLICATION, owned=False, whole=False),
    )
    steps = setup_steps(foreign, [NEED])
    told = [each.what for each in owner_problems(foreign, stranger, steps, ["public.users"])]
    assert told == [
        "the role o'wner does not own the publication meisa_cdc",
        "the role o'wner does not own public.users",
    ]
    slot_alone = [step for step in steps if step.of_slot]
    assert list(owner_problems(foreign, stranger, slot_alone, ["public.users"])) == []
    (problem,) = owner_problems(FACTS, stranger, setup_steps(FACTS, [NEED]), ["public.users"])
    assert problem.advice.startswith("""Run `grant create on database "app" to "o'wner"`""")


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        (None, "public.users is not there"),
        (replace(USERS, partition=True), "public.users is partitioned, or a partition"),
        (replace(USERS, kind="p"), "public.users is partitioned, or a partition"),
        (replace(USERS, generated=True, identity_generated=True), "holds a generated column"),
        (replace(USERS, generated=True), "has generated columns"),
    ],
)
def test_tables_that_cannot_be_published_say_why(table: TableFacts | None, reason: str) -> None:
    """On a server that refuses generated columns; the older ones take those."""
    tables = {} if table is None else {"public.users": table}
    facts = replace(FACTS, tables=tables, server=replace(SERVER, version=180_000))
    found = unpublishable("public.users", frozenset({"team"}), facts)
    assert found is not None
    assert reason in found.reason
    older = unpublishable("public.users", frozenset({"team"}), replace(facts, server=SERVER))
    assert (older is None) == ("generated" in reason)
    by_triggers = unfollowable("public.users", facts)
    assert (by_triggers is None) == ("generated" in reason)


def test_triggers_need_a_primary() -> None:
    """And no slot of their name."""
    assert list(trigger_problems(FACTS)) == []
    facts = replace(FACTS, server=replace(SERVER, standby=True), slot=SLOT)
    assert [each.what for each in trigger_problems(facts)] == [
        "the server is a standby",
        "there is a slot or a publication meisa_cdc already",
    ]
