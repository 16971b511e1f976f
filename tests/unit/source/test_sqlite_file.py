"""Opening a file of somebody else's: nothing is left behind that its owner may not write."""

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import make_url

from meisa_cdc.core.errors import SourceUnavailable
from meisa_cdc.source.sqlite_file import connect, may_be_written_by_all

APP, OURS, OTHERS = 1001, 1002, 1003
STRANGER = 65534


def stat_of(mode: int, user: int, group: int) -> os.stat_result:
    """Return what the operating system says of a file."""
    return os.stat_result((mode, 1, 1, 1, user, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("file", "folder", "user", "group", "expected"),
    [
        (stat_of(0o100600, APP, APP), stat_of(0o40700, APP, APP), APP, APP, True),
        (stat_of(0o100600, APP, APP), stat_of(0o40700, APP, APP), 0, 0, True),
        (stat_of(0o100666, APP, APP), stat_of(0o40777, APP, APP), OURS, OURS, True),
        (stat_of(0o100644, APP, APP), stat_of(0o40777, APP, APP), OURS, OURS, False),
        (stat_of(0o100644, APP, OTHERS), stat_of(0o42775, APP, OTHERS), OURS, OTHERS, False),
        (stat_of(0o100664, APP, OTHERS), stat_of(0o42775, APP, OTHERS), OURS, OURS, True),
        (stat_of(0o100664, APP, OTHERS), stat_of(0o40775, APP, OTHERS), OURS, OTHERS, True),
        (stat_of(0o100664, APP, OTHERS), stat_of(0o40775, APP, OTHERS), OURS, OURS, False),
        (stat_of(0o100664, APP, OTHERS), stat_of(0o42775, APP, OURS), OURS, OTHERS, False),
    ],
)
def test_companions_may_be_written_by_the_app(
    file: os.stat_result, folder: os.stat_result, user: int, group: int, *, expected: bool
):
    """Owner, rights and group are what SQLite takes over from the file, as far as it may."""
    assert may_be_written_by_all(file, folder, user, group) is expected


@contextmanager
def as_stranger() -> Iterator[None]:
    """Be another user for a while."""
    os.seteuid(STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_a_stranger_does_not_lock_out_the_app():
    """The app writes again after it was closed for a while, whoever looked meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        url = make_url(f"sqlite:///{folder}/app.db")
        with closing(sqlite3.connect(folder / "app.db")) as app, app:
            app.execute("pragma journal_mode = wal")
            app.execute("create table users (id)")
            with as_stranger():
                connect(url).close()
        with as_stranger(), pytest.raises(SourceUnavailable, match="does not have it open"):
            connect(url)
        assert [each.name for each in folder.iterdir()] == ["app.db"]
        (folder / "app.db").chmod(0o666)
        with as_stranger():
            connect(url).close()
