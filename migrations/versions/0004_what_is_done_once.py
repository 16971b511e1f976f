"""Occurrences: events, e-mails and enrolments, each done once and remembered for ever."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

WAITING = "status = 'waiting'"
#: Index -> its columns, and the rows that it is about.
INDEXES = {
    "occurrences_next": (["rank", "since", "occurred_at", "id", "not_before"], WAITING),
    "occurrences_deferred": (["not_before"], f"{WAITING} AND not_before > 0"),
    "occurrences_slug": (["slug", "id"], "status = 'waiting' AND slug <> ''"),
    "occurrences_sent": (["not_before"], "status = 'sent'"),
    "occurrences_open": (
        ["mapping_id", "status", "id"],
        "status IN ('waiting', 'sent', 'rejected', 'parked')",
    ),
}


def upgrade() -> None:
    """Add the table and its indexes."""
    number = sa.BigInteger().with_variant(sa.Integer, "sqlite")
    key = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
    op.create_table(
        "occurrences",
        sa.Column("id", number, primary_key=True),
        sa.Column("mapping_id", sa.Integer, nullable=False),
        sa.Column("key", key, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("external_id", key, nullable=False),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("slug", sa.Text, nullable=False),
        sa.Column("body", sa.Text),
        sa.Column("fingerprint", sa.LargeBinary),
        sa.Column("rank", sa.SmallInteger, nullable=False),
        sa.Column("since", sa.Double, nullable=False),
        sa.Column("occurred_at", sa.Double, nullable=False),
        sa.Column("at_least_once", sa.Boolean, nullable=False),
        sa.Column("not_before", sa.Double, nullable=False),
        sa.Column("tried_at", sa.Double),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("blocked", sa.Text, nullable=False),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("occurrences_key", "occurrences", ["mapping_id", "key"], unique=True)
    for name, (columns, where) in INDEXES.items():
        condition = sa.text(where)
        op.create_index(
            name, "occurrences", columns, sqlite_where=condition, postgresql_where=condition
        )
