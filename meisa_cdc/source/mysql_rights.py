"""MySQL and MariaDB: what a server and an account allow a log by triggers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from meisa_cdc.source.mysql_standing import NUMBER_FREELY, ONE_BY_ONE, is_on
from meisa_cdc.source.slot_plan import Problem

ACCOUNT = """
select current_user(), version(), @@hostname, @@port, database(), @@global.read_only, @@log_bin,
    @@global.binlog_format, @@global.log_bin_trust_function_creators,
    @@global.innodb_autoinc_lock_mode
"""
CLUSTERED = "select @@global.wsrep_on"
RIGHTS = """
select privilege_type, is_grantable from information_schema.user_privileges
where grantee = {grantee}
union all
select privilege_type, is_grantable from information_schema.schema_privileges
where grantee = {grantee} and database() like table_schema
"""
#: What it takes to make the log, and, as long as it is there, to keep it.
NEEDED = (
    "SELECT",
    "INSERT",
    "UPDATE",
    "DELETE",
    "CREATE",
    "DROP",
    "TRIGGER",
    "CREATE ROUTINE",
    "ALTER ROUTINE",
    "EXECUTE",
    "PROCESS",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """An account that connects, and the server it connects to."""

    user: str
    host: str
    maria: bool
    #: Equal for the same database.
    place: tuple[Any, ...]
    read_only: bool
    #: The server writes statements, not rows, to a log of its own.
    by_statement: bool
    #: Only who may do everything makes triggers.
    distrusts: bool
    clustered: bool
    #: A statement keeps others from numbers for as long as it takes.
    one_by_one: bool
    #: Names of rights, in the whole database.
    rights: frozenset[str]
    grants: bool

    @property
    def quoted(self) -> str:
        """The account, as SQL has it."""
        user, host = (each.replace("`", "``") for each in (self.user, self.host))
        return f"`{user}`@`{host}`"


def account_of(ask: Callable[[str], Sequence[tuple[Any, ...]]]) -> Account:
    """Ask about the account that is connected."""
    ((name, version, *place, read_only, logs, format_, trusts, numbering),) = ask(ACCOUNT)
    user, _, host = name.rpartition("@")
    maria = "mariadb" in version.lower()
    grantee = "'" + f"'{user}'@'{host}'".replace("'", "''") + "'"
    found = ask(RIGHTS.format(grantee=grantee))
    rights = frozenset(str(each).upper() for each, _ in found)
    return Account(
        user=user,
        host=host,
        maria=maria,
        place=tuple(place),
        read_only=is_on(read_only),
        by_statement=is_on(logs) and str(format_).upper() == "STATEMENT",
        distrusts=is_on(logs) and not is_on(trusts) and "SUPER" not in rights,
        clustered=maria and is_on(ask(CLUSTERED)[0][0]),
        one_by_one=not is_on(numbering),
        rights=rights,
        grants=any(str(grantable).upper() == "YES" for _, grantable in found),
    )


def server_problems(account: Account) -> Iterator[Problem]:
    """Yield what stands in the way on the server."""
    if account.read_only:
        advice = "Point app_database.url at the primary; a replica keeps no log."
        yield Problem(what="the server takes no writes", advice=advice)
    if account.clustered:
        what = "the server is one of several that take writes (Galera)"
        yield Problem(what=what, advice="Use another capture.")
    if account.one_by_one:
        yield Problem(what=ONE_BY_ONE, advice=NUMBER_FREELY)
    if account.by_statement:
        what = "binlog_format is STATEMENT, by which numbers of changes are not safe"
        yield Problem(what=what, advice="Set it to ROW.")


def maker_problems(maker: Account, reader: Account) -> Iterator[Problem]:
    """Yield what keeps an account from making the log."""
    missing = [right for right in NEEDED if right not in maker.rights]
    # An account may have them by a role; of that, the server tells when it is asked to.
    if missing and maker.rights - {"USAGE"}:
        yield Problem(
            what=f"the account {maker.quoted} lacks {', '.join(missing)}",
            advice="Grant it, PROCESS on *.* and the others on the database, or set "
            "MEISA_CDC_SETUP_URL to an account that has it.",
        )
    if maker.distrusts:
        yield Problem(
            what="with a binary log, the server lets only SUPER make triggers",
            advice="Run `set global log_bin_trust_function_creators = 1`, which is without danger "
            "where binlog_format is ROW.",
        )
    if maker.quoted != reader.quoted and not maker.grants:
        what = f"the account {maker.quoted} may not grant the reader what it needs"
        yield Problem(what=what, advice="Give it GRANT OPTION on the database.")
