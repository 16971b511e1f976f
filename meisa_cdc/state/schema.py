"""The tables of our state, as the newest migration leaves them."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    text,
)

# No foreign keys: a million rows are written in one go, and contacts are never deleted.
metadata = MetaData()

# SQLite numbers rows by itself only where the type is exactly INTEGER.
_Id = BigInteger().with_variant(Integer, "sqlite")
# Keys are sorted by code points, whatever the database's collation is.
_Key = Text().with_variant(Text(collation="C"), "postgresql")


def _partial(name: str, *columns: str, where: str) -> Index:
    return Index(name, *columns, sqlite_where=text(where), postgresql_where=text(where))


contacts = Table(
    "contacts",
    metadata,
    # Dense: bitmaps of contacts are indexed by it.
    Column("id", _Id, primary_key=True, autoincrement=False),
    Column("external_id", _Key, nullable=False),
    Column("present", Boolean, nullable=False),
    Column("first_load", Boolean, nullable=False),
    Column("invalid", Text, nullable=False),
    Column("meisa_id", Text, nullable=False),
    Column("rank", SmallInteger),
    Column("since", Double),
    # Epoch seconds before which no delivery is tried; 0 where none failed.
    Column("not_before", Double, nullable=False),
    # Case-folded addresses: the acknowledged one, and the observed one of a present contact.
    Column("ledger_email", Text),
    Column("observed_email", Text),
    Column("quarantine_code", Text),
    Column("quarantined_at", Double),
    Column("quarantine_payload", LargeBinary),
    Column("quarantine_message", Text),
    # JSON as text, since jsonb would not keep every number as it is; NULL stands for empty.
    Column("in_doubt", Text),
    Column("pending", Text),
    Column("ledger", Text),
    Column("riding", Text),
    # Epoch seconds at which what rides along makes a request necessary; NULL: never.
    Column("due", Double),
    # Epoch seconds at which what may have been overwritten late is sent once more; NULL: never.
    Column("confirm_at", Double),
    # JSON of what few contacts have: late requests, new fields, an inheritance; NULL for none.
    Column("marks", Text),
    Index("contacts_external_id", "external_id", unique=True),
    _partial(
        "contacts_next", "rank", "since", "external_id", "not_before", where="rank IS NOT NULL"
    ),
    _partial("contacts_deferred", "not_before", where="rank IS NOT NULL AND not_before > 0"),
    _partial(
        "contacts_waiting",
        "external_id",
        where="pending IS NOT NULL OR riding IS NOT NULL OR quarantine_code IS NOT NULL",
    ),
    _partial("contacts_quarantined", "external_id", where="quarantine_code IS NOT NULL"),
    _partial("contacts_due", "due", where="due IS NOT NULL"),
    _partial("contacts_confirm", "confirm_at", where="confirm_at IS NOT NULL"),
    _partial("contacts_in_doubt", "id", where="in_doubt IS NOT NULL"),
    _partial("contacts_invalid", "id", where="invalid <> ''"),
    _partial("contacts_removed", "id", where="NOT present"),
    _partial("contacts_ledger_email", "ledger_email", where="ledger_email IS NOT NULL"),
    _partial("contacts_observed_email", "observed_email", where="observed_email IS NOT NULL"),
)

mappings = Table(
    "mappings",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("digest", Text, nullable=False),
    Column("columns", Text, nullable=False),
    Column("read_at", Double),
    # Contacts with an observation that is a row; kept up by every write of observations.
    Column("covered", BigInteger, nullable=False),
    # Contacts with any observation; kept up likewise.
    Column("settled", BigInteger, nullable=False, server_default="0"),
)

observed = Table(
    "observed",
    metadata,
    Column("mapping_id", Integer, primary_key=True, autoincrement=False),
    Column("contact_id", _Id, primary_key=True, autoincrement=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("had_row", Boolean, nullable=False),
    # Hash of the row's key in the app database; NULL where the mapping is scanned.
    Column("place", Integer),
    sqlite_with_rowid=False,
)

checksums = Table(
    "checksums",
    metadata,
    Column("mapping_id", Integer, primary_key=True, autoincrement=False),
    Column("scheme", Text, nullable=False),
    # 64-bit little-endian numbers, one a bucket.
    Column("counts", LargeBinary, nullable=False),
    Column("sums", LargeBinary, nullable=False),
    # The numbers of buckets that are looked at every time, likewise.
    Column("unsettled", LargeBinary, nullable=False),
    Column("full_at", Double, nullable=False),
)

# A row for ever: what was done once is not done again.
occurrences = Table(
    "occurrences",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("mapping_id", Integer, nullable=False),
    Column("key", _Key, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("external_id", _Key, nullable=False),
    # As it is sent.
    Column("email", Text, nullable=False),
    # Enrolments of one sequence share requests.
    Column("slug", Text, nullable=False),
    # JSON of the request; NULL once nothing is left to be done.
    Column("body", Text),
    Column("fingerprint", LargeBinary),
    Column("rank", SmallInteger, nullable=False),
    Column("since", Double, nullable=False),
    # When it was first seen, where the row does not say when it happened.
    Column("occurred_at", Double, nullable=False),
    Column("at_least_once", Boolean, nullable=False),
    # Epoch seconds before which it is not tried; of a sent one: when it will have been given up.
    Column("not_before", Double, nullable=False),
    # Epoch seconds of the first try that may have reached Meisa.
    Column("tried_at", Double),
    Column("attempts", Integer, nullable=False),
    # What it waits for that no request of ours brings about; empty for its turn alone.
    Column("blocked", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Index("occurrences_key", "mapping_id", "key", unique=True),
    _partial(
        "occurrences_next",
        "rank",
        "since",
        "occurred_at",
        "id",
        "not_before",
        where="status = 'waiting'",
    ),
    _partial("occurrences_deferred", "not_before", where="status = 'waiting' AND not_before > 0"),
    _partial("occurrences_slug", "slug", "id", where="status = 'waiting' AND slug <> ''"),
    _partial("occurrences_sent", "not_before", where="status = 'sent'"),
    _partial(
        "occurrences_open",
        "mapping_id",
        "status",
        "id",
        where="status IN ('waiting', 'sent', 'rejected', 'parked')",
    ),
)

grants = Table(
    "grants",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("external_id", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    # While the request is open: when it will have been given up.
    Column("done_at", Double, nullable=False),
    Column("open", Boolean, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Index("grants_done_at", "done_at"),
    Index("grants_external_id", "external_id", "id"),
)

budget = Table(
    "budget",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("paces", Text, nullable=False),
    Column("paused_until", Double, nullable=False),
    # JSON of core's Throttle and Breaker.
    Column("throttle", Text, nullable=False, server_default="{}"),
    Column("breaker", Text, nullable=False, server_default="{}"),
    # Deliveries started so far.
    Column("turn", BigInteger, nullable=False, server_default="0"),
)

holds = Table(
    "holds",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("digest", Text, nullable=False),
    Column("mapping", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", Text, nullable=False),
    Column("contacts", BigInteger, nullable=False),
    Column("file", Text, nullable=False),
    Column("recorded_at", Double, nullable=False),
    Column("approved_at", Double),
    # False while its changes are being written or removed.
    Column("ready", Boolean, nullable=False),
)

hold_changes = Table(
    "hold_changes",
    metadata,
    Column("hold_id", _Id, primary_key=True, autoincrement=False),
    Column("external_id", _Key, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

runs = Table(
    "runs",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("command", Text, nullable=False),
    Column("started_at", Double, nullable=False),
    Column("ended_at", Double),
    Column("exit_code", Integer),
    Column("result", Text, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

lease = Table(
    "lease",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # For people: command, host and process; empty where nobody holds it.
    Column("holder", Text, nullable=False),
    # Grows with every take-over; a writer with an older number is refused.
    Column("fence", BigInteger, nullable=False),
    Column("renewed_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)

identity = Table(
    "identity",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Names this state for ever; the sentinel beside a SQLite file repeats it.
    Column("state_id", Text, nullable=False),
    # Whether a contact was ever stored: an empty table is a loss from then on.
    Column("filled", Boolean, nullable=False),
    Column("product", Text),
    Column("environment", Text),
    Column("first_load_at", Double),
)

#: Alembic's table; not its default name, which the app's own migrations may use.
VERSION_TABLE = "schema_version"
#: The one row of `budget`, `lease` and `identity`.
ONLY = 1
