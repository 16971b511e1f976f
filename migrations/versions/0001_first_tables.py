"""The first tables, with the rows there is only one of."""

from uuid import uuid4

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

Id = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Create everything."""
    _contacts()
    _observations()
    _requests()
    _holds()
    _history()
    _only_rows()


def _partial(name: str, table: str, columns: list[str], where: str) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, sqlite_where=condition, postgresql_where=condition)


def _contacts() -> None:
    op.create_table(
        "contacts",
        sa.Column("id", Id, primary_key=True, autoincrement=False),
        sa.Column("external_id", Key, nullable=False),
        sa.Column("present", sa.Boolean, nullable=False),
        sa.Column("first_load", sa.Boolean, nullable=False),
        sa.Column("invalid", sa.Text, nullable=False),
        sa.Column("meisa_id", sa.Text, nullable=False),
        sa.Column("rank", sa.SmallInteger),
        sa.Column("since", sa.Double),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("ledger_email", sa.Text),
        sa.Column("observed_email", sa.Text),
        sa.Column("quarantine_code", sa.Text),
        sa.Column("quarantined_at", sa.Double),
        sa.Column("quarantine_payload", sa.LargeBinary),
        sa.Column("quarantine_message", sa.Text),
        sa.Column("in_doubt", sa.Text),
        sa.Column("pending", sa.Text),
        sa.Column("ledger", sa.Text),
    )
    op.create_index("contacts_external_id", "contacts", ["external_id"], unique=True)
    for name, columns, where in (
        ("next", ["rank", "since", "external_id", "not_before"], "rank IS NOT NULL"),
        ("deferred", ["not_before"], "rank IS NOT NULL AND not_before > 0"),
        ("waiting", ["external_id"], "pending IS NOT NULL OR quarantine_code IS NOT NULL"),
        ("quarantined", ["external_id"], "quarantine_code IS NOT NULL"),
        ("in_doubt", ["id"], "in_doubt IS NOT NULL"),
        ("invalid", ["id"], "invalid <> ''"),
        ("removed", ["id"], "NOT present"),
        ("ledger_email", ["ledger_email"], "ledger_email IS NOT NULL"),
        ("observed_email", ["observed_email"], "observed_email IS NOT NULL"),
    ):
        _partial(f"contacts_{name}", "contacts", columns, where)


def _observations() -> None:
    op.create_table(
        "mappings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False, unique=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("columns", sa.Text, nullable=False),
        sa.Column("read_at", sa.Double),
        sa.Column("covered", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "observed",
        sa.Column("mapping_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("contact_id", Id, primary_key=True, autoincrement=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("had_row", sa.Boolean, nullable=False),
        sqlite_with_rowid=False,
    )


def _requests() -> None:
    op.create_table(
        "grants",
        sa.Column("id", Id, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("external_id", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("done_at", sa.Double, nullable=False),
        sa.Column("open", sa.Boolean, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("fields", sa.Text, nullable=False),
    )
    op.create_index("grants_done_at", "grants", ["done_at"])
    op.create_index("grants_external_id", "grants", ["external_id", "id"])
    op.create_table(
        "budget",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("paces", sa.Text, nullable=False),
        sa.Column("paused_until", sa.Double, nullable=False),
    )


def _holds() -> None:
    op.create_table(
        "holds",
        sa.Column("id", Id, primary_key=True),
        sa.Column("digest", sa.Text, nullable=False),
        sa.Column("mapping", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("contacts", sa.BigInteger, nullable=False),
        sa.Column("file", sa.Text, nullable=False),
        sa.Column("recorded_at", sa.Double, nullable=False),
        sa.Column("approved_at", sa.Double),
        sa.Column("ready", sa.Boolean, nullable=False),
    )
    op.create_table(
        "hold_changes",
        sa.Column("hold_id", Id, primary_key=True, autoincrement=False),
        sa.Column("external_id", Key, primary_key=True),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sqlite_with_rowid=False,
    )


def _history() -> None:
    op.create_table(
        "runs",
        sa.Column("id", Id, primary_key=True),
        sa.Column("command", sa.Text, nullable=False),
        sa.Column("started_at", sa.Double, nullable=False),
        sa.Column("ended_at", sa.Double),
        sa.Column("exit_code", sa.Integer),
        sa.Column("result", sa.Text, nullable=False),
    )
    op.create_table(
        "notes",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
    )


def _only_rows() -> None:
    lease = op.create_table(
        "lease",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("holder", sa.Text, nullable=False),
        sa.Column("fence", sa.BigInteger, nullable=False),
        sa.Column("renewed_at", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
    )
    identity = op.create_table(
        "identity",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("state_id", sa.Text, nullable=False),
        sa.Column("filled", sa.Boolean, nullable=False),
        sa.Column("product", sa.Text),
        sa.Column("environment", sa.Text),
        sa.Column("first_load_at", sa.Double),
    )
    budget = sa.table("budget", *map(sa.column, ("id", "paces", "paused_until")))
    free = {"id": 1, "holder": "", "fence": 0, "renewed_at": 0.0, "expires_at": 0.0}
    op.bulk_insert(lease, [free])
    op.bulk_insert(identity, [{"id": 1, "state_id": uuid4().hex, "filled": False}])
    op.bulk_insert(budget, [{"id": 1, "paces": "[]", "paused_until": 0.0}])
