"""The three tables that the app may read, as each database wants them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    Dialect,
    Identity,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    inspect,
)
from sqlalchemy.engine import Connection
from sqlalchemy.types import TypeEngine

from meisa_cdc.core.errors import SettingsError
from meisa_cdc.core.values import MAX_EMAIL_LENGTH

STATUS = "meisa_suppression_status"
EVENTS = "meisa_suppression_events"
MYSQL = ("mysql", "mariadb")


class Moment(TypeDecorator[float]):
    """Epoch seconds in Python; in the database a time in UTC that SQL can compare."""

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[datetime] | TypeEngine[str]:
        """Return timestamptz, datetime(6) or text."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        if dialect.name in MYSQL:
            from sqlalchemy.dialects.mysql import DATETIME

            return dialect.type_descriptor(DATETIME(fsp=6))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: float | None, dialect: Dialect) -> datetime | str | None:
        """Return what the driver takes."""
        if value is None:
            return None
        moment = datetime.fromtimestamp(value, UTC)
        if dialect.name == "sqlite":
            # Always with six digits: as text, times of one length sort as times.
            return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
        return moment.replace(tzinfo=None) if dialect.name in MYSQL else moment

    def process_result_value(self, value: datetime | str | None, _: Dialect) -> float | None:
        """Return what the driver gave as epoch seconds."""
        if value is None:
            return None
        moment = datetime.fromisoformat(value) if isinstance(value, str) else value
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables under the names that the settings give them."""

    #: Exactly the current list.
    emails: Table
    #: How fresh it is; one row.
    status: Table
    #: What came and went.
    events: Table

    @property
    def all(self) -> tuple[Table, Table, Table]:
        """The three of them."""
        return self.emails, self.status, self.events

    @property
    def schema(self) -> str | None:
        """The schema they are in; None for the login's own."""
        return self.emails.schema

    def missing(self, connection: Connection) -> list[Table]:
        """Return those that do not exist yet."""
        found = inspect(connection)
        return [each for each in self.all if not found.has_table(each.name, schema=each.schema)]


def tables_named(name: str, dialect: str) -> Tables:
    """Return the tables for `table` or `schema.table`. Raises SettingsError for other names.

    `dialect` as SQLAlchemy calls it: what is MySQL's alone is imported for MySQL alone.
    """
    schema, _, table = name.strip().rpartition(".")
    if not table or "." in schema or table in {STATUS, EVENTS}:
        raise SettingsError(
            f"suppression.table: {name!r} cannot be the name of the suppression table.",
            hint="Write TABLE or SCHEMA.TABLE.",
        )
    metadata = MetaData(schema=schema or None)
    address = _address(dialect)
    engine: dict[str, Any] = {"mysql_engine": "InnoDB"} if dialect in MYSQL else {}
    emails = Table(
        table,
        metadata,
        Column("email", address, primary_key=True),
        Column("suppressed_at", Moment, nullable=False),
        Column("as_of", Moment, nullable=False),
        **engine,
    )
    status = Table(
        STATUS,
        metadata,
        # There is one row; it has a key because replication wants one.
        Column("as_of", Moment, primary_key=True),
        Column("pulled_at", Moment, nullable=False),
        Column("count", BigInteger, nullable=False),
        **engine,
    )
    number = BigInteger().with_variant(Integer(), "sqlite")
    events = Table(
        EVENTS,
        metadata,
        Column("id", number, Identity(), primary_key=True),
        Column("email", address, nullable=False, index=True),
        Column("event", Text().with_variant(String(10), *MYSQL), nullable=False),
        Column("at", Moment, nullable=False),
        CheckConstraint("event in ('suppressed', 'released')"),
        **engine,
        sqlite_autoincrement=True,
    )
    return Tables(emails=emails, status=status, events=events)


def _address(dialect: str) -> TypeEngine[str]:
    """Return the type of an address, compared byte by byte."""
    if dialect not in MYSQL:
        return Text()
    from sqlalchemy.dialects.mysql import VARCHAR

    # To a friendlier collation two addresses may be one.
    return VARCHAR(MAX_EMAIL_LENGTH, charset="utf8mb4", collation="utf8mb4_bin")
