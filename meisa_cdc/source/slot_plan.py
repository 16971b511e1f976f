"""What has to be done for a log by a slot, and what stands in the way: decided on plain values."""

from collections.abc import Collection, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass

from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.needs import Need, together
from meisa_cdc.source.slot_facts import (
    PublicationFacts,
    Role,
    Server,
    SlotFacts,
    TableFacts,
    TriggerFacts,
)

OLDEST, STRICT = 130_000, 180_000
TELLS = "insert, update, delete, truncate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that has to be put right first."""

    what: str
    #: What to do.
    advice: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement."""

    sql: str
    #: For people.
    why: str
    #: As a client takes it at its prompt, where that is not `sql`.
    shown: str = ""
    #: It makes or drops a slot; otherwise it alters the app database.
    of_slot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """All that is known before anything is decided."""

    name: str
    server: Server
    tables: Dict[str, TableFacts]
    publication: PublicationFacts | None
    slot: SlotFacts | None
    #: A log of our name by triggers.
    triggers: TriggerFacts | None
    #: Where the reading role looks for a table first.
    schema: str


def unpublishable(table: str, columns: frozenset[str], facts: Facts) -> FullScan | None:
    """Return why a table cannot be published, where these columns have to be told."""
    found = facts.tables.get(table)
    if found is None:
        return FullScan(reason=f"{table} is not there", advice="")
    if found.partition or found.kind != "r":
        return FullScan(
            reason=f"{table} is partitioned, or a partition: one that the app adds later may have "
            "no replica identity, and the app could not update its rows",
            advice="Use another capture.",
        )
    fails = facts.server.version >= STRICT
    if fails and found.identity_generated:
        return FullScan(
            reason=f"what identifies rows of {table} holds a generated column, and the app could "
            "not update them once it is published",
            advice=f"Run `alter table {table} replica identity default`, or using another index.",
        )
    if fails and found.generated and (not found.identified or found.lacks(columns)):
        told = f", {', '.join(sorted(columns))} among them" if columns else ""
        return FullScan(
            reason=f"{table} has generated columns, and the app could not update its rows with "
            "REPLICA IDENTITY FULL",
            advice=f"Make a unique index on columns that are not null{told}, and run `alter table "
            f"{table} replica identity using index` with it.",
        )
    return None


def setup_steps(facts: Facts, needs: Sequence[Need]) -> list[Step]:
    """Return what is left to do, in the order in which it is safe."""
    wanted = together(each for each in needs if each.scan is None)
    if not wanted or any(_taken(facts)):
        return []
    tables = sorted(wanted)
    identities = [
        _identity_step(facts.tables[table], sorted(wanted[table]))
        for table in tables
        if not facts.tables[table].identified or facts.tables[table].lacks(wanted[table])
    ]
    publishing = _publication_steps(facts, tables)
    added = set(tables) - set(facts.publication.tables if facts.publication else ())
    slot = facts.slot
    renewed = slot is not None and (bool(added) or slot.void)
    steps: list[Step] = []
    if slot is not None and renewed:
        why = (
            f"It can be read no more: {slot.why_void}."
            if slot.void
            else "Made anew below: of transactions that are under way while tables are added, it "
            "would tell only a part."
        )
        steps.append(_drop_slot(facts.name, why))
    steps += [*identities, *publishing]
    if slot is None or renewed:
        steps.append(
            Step(
                sql="select pg_catalog.pg_create_logical_replication_slot("
                f"{_literal(facts.name)}, 'pgoutput');",
                why="The slot, last: it waits for transactions that are under way, and tells of "
                "all that come after.",
                of_slot=True,
            )
        )
    return steps


def _identity_step(table: TableFacts, columns: list[str]) -> Step:
    lacking = table.lacks(columns)
    if not table.identified:
        why = (
            f"{table.name} has no primary key that identifies its rows: published without this, "
            "the app's own UPDATE and DELETE of it would fail."
        )
    else:
        why = (
            f"A change of {table.name} has to tell what {', '.join(lacking)} "
            f"{'was' if len(lacking) == 1 else 'were'}; without this it tells "
            f"{', '.join(sorted(table.identifying))} alone."
        )
    if table.published_elsewhere:
        why += " Whoever reads another publication of it is then told whole old rows, too."
    return Step(
        sql=f"alter table {table.name} replica identity full;",
        why=f"{why} Each UPDATE and DELETE then writes the whole old row to the WAL.",
    )


def _publication_steps(facts: Facts, tables: list[str]) -> Iterator[Step]:
    name, found = POSTGRESQL.quoted(facts.name), facts.publication
    listed = ", ".join(tables)
    if found is None:
        yield Step(
            sql=f"create publication {name} for table {listed} with (publish = '{TELLS}');",
            why="Which tables are told of. Never FOR ALL TABLES: the app could not update any "
            "table that has no replica identity.",
        )
        return
    if set(found.every_table) != set(tables) or set(found.tables) != set(tables):
        yield Step(
            sql=f"alter publication {name} set table {listed};",
            why="Which tables are told of, now that the mappings read these.",
        )
    if not found.whole:
        yield Step(
            sql=f"alter publication {name} set (publish = '{TELLS}');",
            why="It does not tell of everything that happens to rows.",
        )


def _drop_slot(name: str, why: str) -> Step:
    sql = f"select pg_catalog.pg_drop_replication_slot({_literal(name)});"
    return Step(sql=sql, why=why, of_slot=True)


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def drop_steps(facts: Facts) -> list[Step]:
    """Return what removes whatever there is of ours; the slot first, since it keeps WAL."""
    steps = []
    if facts.slot is not None and facts.slot.ours:
        steps.append(_drop_slot(facts.name, "The slot, which keeps WAL on the server."))
    if facts.publication is not None and not facts.publication.everything:
        quoted = POSTGRESQL.quoted(facts.name)
        steps.append(Step(sql=f"drop publication {quoted};", why="The list of tables."))
    return steps


def identity_resets(facts: Facts) -> list[Step]:
    """Return what takes REPLICA IDENTITY FULL from tables again, where nothing else needs it."""
    return [
        Step(
            sql=f"alter table {table.name} replica identity default;",
            why=f"{table.name} still writes whole old rows to the WAL.",
        )
        for table in facts.tables.values()
        if table.identity == "f" and (table.primary_key or not table.published_elsewhere)
    ]


def server_problems(facts: Facts, *, making: bool, unlimited: bool) -> Iterator[Problem]:
    """Yield what of the server stands in the way.

    `making`: a slot is to be made; `unlimited`: it may keep any amount of WAL.
    """
    server = facts.server
    if server.version < OLDEST:
        yield Problem(what="the server is older than Postgres 13", advice="Use another capture.")
    if server.standby:
        yield Problem(
            what="the server is a standby",
            advice="Point app_database.url at the primary; a standby has no slot to read here.",
        )
    if server.wal_level != "logical":
        yield Problem(
            what=f"wal_level is {server.wal_level}",
            advice="Run `alter system set wal_level = 'logical'` and restart the server; where it "
            "is hosted, switch logical replication on.",
        )
    if server.keeps in ("-1", "") and making and not unlimited:
        yield Problem(
            what="max_slot_wal_keep_size is not set: a slot that nobody reads keeps WAL until the "
            "disk is full, and the app stops",
            advice="Run `alter system set max_slot_wal_keep_size = '8GB'` (what the disk can "
            "spare) and `select pg_reload_conf()`; or take the risk with --allow-unlimited-wal.",
        )
    if making and facts.slot is None and server.slots_used >= server.slots:
        yield Problem(
            what=f"all {server.slots} replication slots are taken",
            advice="Raise max_replication_slots and restart the server, or drop a slot.",
        )
    yield from _taken(facts)


def _taken(facts: Facts) -> Iterator[Problem]:
    advice = "Set capture.name to a name that is free."
    if facts.triggers is not None:
        yield Problem(
            what=f"there is a log {facts.name} by triggers already",
            advice="Run `meisa-cdc capture drop` first, or set capture.name to another name.",
        )
    if facts.slot is not None and not facts.slot.ours:
        what = f"the slot {facts.name} is of another database or another plugin"
        yield Problem(what=what, advice=advice)
    if facts.publication is not None and facts.publication.everything:
        yield Problem(what=f"the publication {facts.name} has all tables", advice=advice)


def reader_problems(role: Role) -> Iterator[Problem]:
    """Yield what stands in the way of reading the log."""
    if not role.replicates:
        yield Problem(
            what=f"the role {role.name} of app_database.url may not read a slot",
            advice=f"Run `alter role {POSTGRESQL.quoted(role.name)} replication` as a superuser. "
            "Know that such a role can read everything on the server: each change of each table, "
            "whatever was granted.",
        )


def owner_problems(
    facts: Facts, role: Role, steps: Sequence[Step], tables: Collection[str]
) -> Iterator[Problem]:
    """Yield what keeps a role from the steps that alter these tables, or list them.

    `facts` are as that role sees them.
    """
    if all(step.of_slot for step in steps):
        return
    if facts.publication is None and not role.publishes:
        yield Problem(
            what=f"the role {role.name} may not create a publication",
            advice=f"Run `grant create on database {POSTGRESQL.quoted(facts.server.database)} to "
            f"{POSTGRESQL.quoted(role.name)}`, or set MEISA_CDC_SETUP_URL to a role that may.",
        )
    if facts.publication is not None and not facts.publication.owned:
        what = f"the role {role.name} does not own the publication {facts.name}"
        yield Problem(what=what, advice="Set MEISA_CDC_SETUP_URL to a role that owns it.")
    foreign = [t.name for t in facts.tables.values() if t.name in tables and not t.owned]
    if foreign:
        what = f"the role {role.name} does not own {', '.join(foreign)}"
        yield Problem(what=what, advice="Set MEISA_CDC_SETUP_URL to a role that owns the tables.")


def dangers(facts: Facts) -> Iterator[Problem]:
    """Yield the tables that the app cannot update as long as they are published like this."""
    published = set(facts.publication.every_table) if facts.publication is not None else set()
    for table in facts.tables.values():
        broken = facts.server.version >= STRICT and table.identity_generated
        if table.name in published and (broken or not table.identified):
            yield Problem(
                what=f"{table.name} is published, and nothing identifies its rows: the app's own "
                "UPDATE and DELETE of it fail",
                advice="Run `meisa-cdc capture drop` now, or "
                + (
                    f"`alter table {table.name} replica identity using index` with a unique index."
                    if table.generated
                    else f"`alter table {table.name} replica identity full`."
                ),
            )
