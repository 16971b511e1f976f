"""What a log by triggers on MySQL and MariaDB makes of what its owner sees."""

from dataclasses import replace

import pytest

from meisa_cdc.source.mysql_rights import account_of, server_problems
from meisa_cdc.source.mysql_standing import Found, TableShape, Text
from meisa_cdc.source.mysql_triggers import (
    CHARSET,
    EVENTS,
    MODES,
    body,
    note,
    trigger,
    trigger_name,
)
from meisa_cdc.source.trigger_names import Names

NAMES = Names(name="meisa_cdc", schema="app")
COLUMNS = {"id": "number"}
#: Server, host, port, how numbers are given, read-only, one of several, replicating.
SERVER = (1, "db", 3306, 1, 0, 0, 0)


def _text(statement: str, *, table: str = "", event: str = "") -> Text:
    return Text(
        table=table,
        event=event,
        timing="after" if event else "",
        body=body(statement),
        modes=frozenset(MODES.split(",")),
        owner="owner@%",
        shape="s",
        charset=CHARSET,
    )


def found() -> Found:
    """Return a log on one table, all of which is as it should be."""
    own = (NAMES.changes, NAMES.room, NAMES.log)
    texts = {
        trigger_name(NAMES, "users", COLUMNS, event): _text(
            trigger(NAMES, "users", COLUMNS, event), table="users", event=event
        )
        for event in EVENTS
    }
    return Found(
        names=NAMES,
        server=SERVER,
        texts={**texts, NAMES.note: _text(note(NAMES))},
        tables={name: TableShape(shape=name, past="") for name in (*own, "users")},
        columns={"users": frozenset(COLUMNS)},
    )


def test_a_table_is_told_of_where_its_columns_are_known():
    """One that was dropped between two answers has none."""
    assert [(table, numbers) for table, numbers, _ in found().told()] == [("users", {"id": True})]
    assert list(replace(found(), columns={}).told()) == []


@pytest.mark.parametrize(("mode", "fit"), [(0, False), (1, True), (2, True), ("OFF", False)])
def test_numbers_that_are_given_one_by_one_are_no_log(mode: object, fit: bool):
    """Writers would wait for one another, or fail."""
    unfit = replace(found(), server=(*SERVER[:3], mode, *SERVER[4:])).unfit()
    assert (unfit is None) == fit
    assert unfit is None or "innodb_autoinc_lock_mode" in unfit.reason

    def ask(text: str) -> list[tuple[object, ...]]:
        if "current_user" in text:
            account = ("app@%", "10.11.6-MariaDB", "db", 3306, "app", 0, 1, "ROW", 1)
            return [(*account, mode)]
        return [(0,)] if "wsrep" in text else []

    problems = [each.what for each in server_problems(account_of(ask))]
    assert any("innodb_autoinc_lock_mode" in what for what in problems) != fit
