"""Folders of migrations: ours, and ours with one more that a later version would bring."""

import shutil
from pathlib import Path

from meisa_cdc.state.upgrade import migrations_folder

NEXT = '''
"""What a later version may add."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("contacts", sa.Column("later", sa.Integer))
    op.execute("UPDATE contacts SET later = id * 2")
    op.create_index("contacts_later", "contacts", ["later"])
'''


def with_next(folder: Path) -> Path:
    """Return a copy of our migrations, with one more, in `folder`."""
    ours = migrations_folder()
    later = folder / "migrations"
    shutil.copytree(ours, later, ignore=shutil.ignore_patterns("__pycache__"))
    before = max(path.name for path in (ours / "versions").glob("0*.py")).partition("_")[0]
    revision = f"{int(before) + 1:04}"
    text = NEXT.format(revision=revision, before=before)
    (later / "versions" / f"{revision}_later.py").write_text(text.lstrip())
    return later


def up_to(folder: Path, last: str) -> Path:
    """Return a copy of our migrations, those after revision `last` left out, in `folder`."""
    earlier = folder / f"migrations-{last}"
    shutil.copytree(migrations_folder(), earlier, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (earlier / "versions").glob("0*.py"):
        if path.name.partition("_")[0] > last:
            path.unlink()
    return earlier
