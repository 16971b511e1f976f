"""Checksums by mapping, the places of rows, and how many contacts have an observation."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

COUNTED = """
UPDATE mappings SET settled =
    (SELECT count(*) FROM observed WHERE observed.mapping_id = mappings.id)
"""


def upgrade() -> None:
    """Add the table and the columns, and count what is there."""
    op.create_table(
        "checksums",
        sa.Column("mapping_id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("scheme", sa.Text, nullable=False),
        sa.Column("counts", sa.LargeBinary, nullable=False),
        sa.Column("sums", sa.LargeBinary, nullable=False),
        sa.Column("unsettled", sa.LargeBinary, nullable=False),
        sa.Column("full_at", sa.Double, nullable=False),
    )
    op.add_column("observed", sa.Column("place", sa.Integer))
    op.add_column(
        "mappings", sa.Column("settled", sa.BigInteger, nullable=False, server_default="0")
    )
    op.execute(COUNTED)
