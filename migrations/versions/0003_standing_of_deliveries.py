"""How deliveries stand: what others use of the key, why they are halted, what may come late."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CONFIRM = "confirm_at IS NOT NULL"


def upgrade() -> None:
    """Add the columns, and the index that finds what has to be confirmed."""
    op.add_column("budget", sa.Column("throttle", sa.Text, nullable=False, server_default="{}"))
    op.add_column("budget", sa.Column("breaker", sa.Text, nullable=False, server_default="{}"))
    op.add_column("budget", sa.Column("turn", sa.BigInteger, nullable=False, server_default="0"))
    op.add_column("contacts", sa.Column("confirm_at", sa.Double))
    op.add_column("contacts", sa.Column("marks", sa.Text))
    condition = sa.text(CONFIRM)
    op.create_index(
        "contacts_confirm",
        "contacts",
        ["confirm_at"],
        sqlite_where=condition,
        postgresql_where=condition,
    )
