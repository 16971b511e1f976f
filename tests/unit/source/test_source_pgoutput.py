"""Messages of pgoutput that a real server writes rarely, or never to us."""

from struct import pack

import pytest

from meisa_cdc.source.affected.asking import Change
from meisa_cdc.source.pgoutput import Emptied, Ended, Relation, Row, decoded

NONE = pack("!i", -1)


def relation(*columns: tuple[str, bool]) -> bytes:
    """Return a table of texts, some of which identify a row."""
    told = b"".join(
        bytes([identifies]) + name.encode() + b"\0" + pack("!I", 25) + NONE
        for name, identifies in columns
    )
    return b"R" + pack("!I", 7) + b"public\0users\0d" + pack("!h", len(columns)) + told


def row(*values: str | bytes | None) -> bytes:
    """Return a tuple; bytes stand for themselves."""
    told = pack("!h", len(values))
    for value in values:
        if isinstance(value, str):
            told += b"t" + pack("!I", len(value.encode())) + value.encode()
        else:
            told += b"n" if value is None else value
    return told


USERS = relation(("id", True), ("näme", False), ("bio", False))
OID = pack("!I", 7)


def change(*messages: bytes) -> list[Change]:
    """Return the changes in messages about users."""
    found = list(decoded([USERS, *messages]))
    assert found[0] == Relation(
        oid=7,
        columns=(("id", 25, -1), ("näme", 25, -1), ("bio", 25, -1)),
        identifying=frozenset({"id"}),
    )
    return [each.change for each in found if isinstance(each, Row)]


def test_a_transaction_is_known_by_its_number_and_its_end():
    """Also where nothing of it is for us."""
    begin = b"B" + pack("!QQI", 0x10, 0, 4_000_000_000)
    commit = b"C\0" + pack("!QQQ", 0x10, 0x20, 0)
    assert list(decoded([begin, commit])) == [Ended(transaction=4_000_000_000, end=0x20)]


def test_an_update_that_tells_no_old_row_left_its_identity_alone():
    """Nothing else of the old row is known; what is large and stayed, not even of the new one."""
    (found,) = change(b"U" + OID + b"N" + row("1", "Ada", b"u"))
    assert found == Change(old={"id": "1"}, new={"id": "1", "näme": "Ada"})


def test_an_update_of_the_identity_tells_the_old_one():
    """The other columns of the old row are NULL there, and mean nothing."""
    (found,) = change(b"U" + OID + b"K" + row("1", None, None) + b"N" + row("2", None, b"u"))
    assert found == Change(old={"id": "1"}, new={"id": "2", "näme": None})


def test_an_update_may_tell_the_whole_old_row():
    """A large value that stayed is in it."""
    (found,) = change(b"U" + OID + b"O" + row("1", "A", "long") + b"N" + row("1", "B", b"u"))
    assert found == Change(
        old={"id": "1", "näme": "A", "bio": "long"}, new={"id": "1", "näme": "B", "bio": "long"}
    )


def test_rows_come_and_go():
    """Deleted ones by their identity, or whole."""
    found = change(
        b"I" + OID + b"N" + row("1", "ä", None),
        b"D" + OID + b"K" + row("1", None, None),
        b"D" + OID + b"O" + row("1", None, "x"),
    )
    assert found == [
        Change(old=None, new={"id": "1", "näme": "ä", "bio": None}),
        Change(old={"id": "1"}, new=None),
        Change(old={"id": "1", "näme": None, "bio": "x"}, new=None),
    ]


def test_tables_are_emptied_together():
    """With one message."""
    assert list(decoded([b"T" + pack("!IBII", 2, 1, 7, 8)])) == [Emptied(oids=(7, 8))]


def test_where_a_change_comes_from_is_nothing_to_us():
    """Nor are types that are not built in."""
    assert list(decoded([b"O" + b"\0" * 9, b"Y" + b"\0" * 9])) == []


def test_what_the_version_does_not_have_is_refused():
    """Rather than passed over."""
    with pytest.raises(KeyError):
        list(decoded([b"S\0\0\0\1"]))
