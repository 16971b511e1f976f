"""What has to be done for a log by triggers, and what stands in the way."""

from collections.abc import Iterator, Mapping as Dict

from meisa_cdc.source.affected.answers import FullScan
from meisa_cdc.source.dialects import POSTGRESQL
from meisa_cdc.source.needs import Need, told_of
from meisa_cdc.source.slot_facts import Role
from meisa_cdc.source.slot_plan import Facts, Problem, Step
from meisa_cdc.source.trigger_setup import creation, removal

#: What the statements are for, by the words that they begin with.
REASONS = {
    "set ": "No statement waits long for a lock, since the app would wait behind it.",
    "create table": "The log's own tables: what changed, and where the log stands.",
    "create sequence": "Numbers of the changes, which no writer waits for.",
    "revoke": "Nobody else has anything to do with it.",
    "grant": "The reader reads the log and empties it.",
    "create or replace function": "Writes changes to the log; if it fails, the app goes on.",
    "drop trigger": "Made anew for these columns, or for a table that nobody reads any more.",
    "create trigger": "Runs with each change of the table.",
    "alter table": "Also while a replica is fed.",
    "do ": "Triggers and functions of tables that no mapping reads any more.",
    "insert into": "From here on, everything is read once.",
    "drop table": "What the log was kept in.",
    "drop sequence": "Its numbers.",
}


def unfollowable(table: str, facts: Facts) -> FullScan | None:
    """Return why triggers do not tell of a table."""
    found = facts.tables.get(table)
    if found is None:
        return FullScan(reason=f"{table} is not there", advice="")
    if found.partition or found.kind != "r":
        reason = f"{table} is partitioned, or a partition, and those come and go without triggers"
        return FullScan(reason=reason, advice="Use another capture.")
    return None


def trigger_steps(facts: Facts, needs: tuple[Need, ...], role: Role, *, whole: bool) -> list[Step]:
    """Return the statements; none where the log tells of just these tables and columns.

    `role`: who reads it; `whole`: all mappings that can be followed are.
    """
    told = told_of(needs)
    if not told or (whole and facts.triggers is not None and facts.triggers.tables == told):
        return []
    schema = facts.schema if facts.triggers is None else facts.triggers.schema
    tables = {table: sorted(columns) for table, columns in sorted(told.items())}
    others = () if facts.triggers is None else sorted(facts.triggers.tables)
    sql = creation(POSTGRESQL, facts.name, tables, reader=role.name, schema=schema, others=others)
    return [_step(each) for each in sql]


def removal_steps(facts: Facts) -> list[Step]:
    """Return the statements that leave nothing of a log by triggers."""
    if facts.triggers is None:
        return []
    schema, tables = facts.triggers.schema, sorted(facts.triggers.tables)
    sql = removal(POSTGRESQL, facts.name, schema=schema, tables=tables)
    return [_step(each) for each in sql]


def _step(sql: str) -> Step:
    why = next((why for words, why in REASONS.items() if sql.lower().startswith(words)), "")
    return Step(sql=f"{sql};", why=why)


def trigger_problems(facts: Facts) -> Iterator[Problem]:
    """Yield what stands in the way, whoever runs the statements."""
    if facts.server.standby:
        advice = "Point app_database.url at the primary; a standby keeps no log."
        yield Problem(what="the server is a standby", advice=advice)
    if facts.slot is not None or facts.publication is not None:
        yield Problem(
            what=f"there is a slot or a publication {facts.name} already",
            advice="Run `meisa-cdc capture drop` first, or set capture.name to another name.",
        )


def maker_problems(facts: Facts, role: Role, tables: Dict[str, object]) -> Iterator[Problem]:
    """Yield what keeps a role from making the triggers; `facts` as that role sees them."""
    foreign = [t.name for t in facts.tables.values() if t.name in tables and not t.owned]
    if foreign:
        what = f"the role {role.name} does not own {', '.join(foreign)}"
        yield Problem(what=what, advice="Set MEISA_CDC_SETUP_URL to a role that owns the tables.")
    if not role.makes_tables:
        yield Problem(
            what=f"the role {role.name} may not create tables in {facts.schema}",
            advice=f"Run `grant create on schema {POSTGRESQL.quoted(facts.schema)} to "
            f"{POSTGRESQL.quoted(role.name)}`, or set MEISA_CDC_SETUP_URL to a role that may.",
        )
