"""Fields that ride along: their values, and when they are sent on their own after all."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

WAITING = "pending IS NOT NULL OR riding IS NOT NULL OR quarantine_code IS NOT NULL"
DUE = "due IS NOT NULL"


def upgrade() -> None:
    """Add the columns, and the indexes that find them."""
    op.add_column("contacts", sa.Column("riding", sa.Text))
    op.add_column("contacts", sa.Column("due", sa.Double))
    op.drop_index("contacts_waiting", "contacts")
    for name, column, where in (
        ("contacts_waiting", "external_id", WAITING),
        ("contacts_due", "due", DUE),
    ):
        condition = sa.text(where)
        op.create_index(
            name, "contacts", [column], sqlite_where=condition, postgresql_where=condition
        )
