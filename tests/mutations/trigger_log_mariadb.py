"""The rules by which no change is lost in the log that triggers write on MySQL and MariaDB."""

from tests.mutations.rule import Rule

LOG = "meisa_cdc/source/mysql_trigger_log.py"
TRIGGERS = "meisa_cdc/source/mysql_triggers.py"
STANDING = "meisa_cdc/source/mysql_standing.py"
TESTS = "tests/integration/test_trigger_log_mariadb.py::test_"


def _rule(name: str, old: str, new: str, test: str, *, file: str = LOG) -> Rule:
    return Rule(
        name=f"trigger log: MariaDB: {name}",
        file=file,
        old=old,
        new=new,
        tests=(f"{TESTS}{test}",),
    )


TRIGGER_LOG_MARIADB = (
    _rule(
        "only what the snapshot saw is deleted",
        "straight_join {changes} as c force index (primary) on c.id = seen.id",
        "straight_join {changes} as c on c.id >= seen.id",
        "a_change_between_snapshot_and_acknowledging_stays",
    ),
    _rule(
        "who did not see what was deleted begins anew",
        "passed=lambda place: place == base,",
        "passed=lambda place: base is not None and place >= 0,",
        "of_two_readers_one_begins_anew",
    ),
    _rule(
        "a server that lost what was seen does not pass for the one that had it",
        "passed=lambda place: place == base,",
        "passed=lambda place: base >= 0 and place == place,",
        "a_server_that_lost_a_change_that_was_seen_is_noticed",
    ),
    _rule(
        "what is seen beside a full log makes a new place",
        "moves = bool(ids) or doubt or full or floor != control.floor",
        "moves = bool(ids) or full or floor != control.floor",
        "a_server_that_lost_a_change_that_was_seen_is_noticed",
    ),
    _rule(
        "that rows were missed is noticed",
        "doubt = int(following) - 1 > control.floor",
        "doubt = int(following) - 1 > 10**9",
        "a_full_log_stops_growing_and_is_taken_up_again",
    ),
    _rule(
        "whoever goes by an older ceiling is waited for",
        "ended = not control.waits & set(found.running)",
        "ended = bool(control.noted)",
        "who_goes_by_an_old_limit_and_commits_late_is_waited_for",
    ),
    _rule(
        "a trigger that was made again is another one",
        "created, charset = row\n",
        "_created, charset = row\n    created = ''\n",
        "a_trigger_that_was_off_for_a_while_is_noticed",
        file=STANDING,
    ),
    _rule(
        "what was there is not asked beside the snapshot",
        "        if isinstance(self.found, FullScan):\n            return self.found\n",
        "        self.found = Found.asked(self.transaction.connection.cursor(), self.names)\n",
        "a_trigger_that_was_off_beside_a_snapshot_is_noticed",
    ),
    _rule(
        "a trigger says what we would",
        "and _is(found, body(trigger(self.names, table, columns, event)))",
        "and bool(found.body)",
        "a_trigger_that_does_not_say_what_we_would_is_none",
        file=STANDING,
    ),
    _rule(
        "a table that was emptied is another one",
        "parts = [repr((name, engine, options, str(created), file))]",
        "parts = [repr((name, engine, options))]",
        "what_goes_past_triggers_has_everything_read",
        file=STANDING,
    ),
    _rule(
        "rows that a foreign key changes are not followed",
        "    if cascades:\n",
        "    if not name:\n",
        "rows_that_a_foreign_key_changes_are_not_followed",
        file=STANDING,
    ),
    _rule(
        "who does not see a ceiling writes all the same",
        "set top = null;",
        "set top = 0;",
        "who_began_before_it_was_set_up_is_told",
        file=TRIGGERS,
    ),
    _rule(
        "values that are equal to the server count as changed",
        'same = f"{old} <=> {value} and cast({old} as binary) <=> cast({value} as binary)"',
        'same = f"{old} <=> {value}"',
        "each_change_of_each_type_is_told",
        file=TRIGGERS,
    ),
    _rule(
        "the log is never empty, or else who loads without checks locks it",
        "insert into {changes} (id, relation, kind) values ({first}, '', '{first_kind}')\n"
        "    on duplicate key update relation = values(relation), kind = values(kind);\n",
        "",
        "who_loads_without_checks_holds_up_nobody",
        file=TRIGGERS,
    ),
    _rule(
        "the first row stays",
        'IDS = "select id from {changes} where id <> {first}"',
        'IDS = "select id from {changes}"',
        "who_loads_without_checks_holds_up_nobody",
    ),
    _rule(
        "that the first row is gone is noticed",
        "(rows[0][0], rows[0][-1]) != (VERSION, FIRST_KIND)",
        "rows[0][0] != VERSION",
        "a_log_whose_first_row_is_gone_is_set_up_anew",
    ),
    _rule(
        "tables of ours are named in one place",
        "        call {note}({relation}, what, old_image, new_image);\n",
        "        insert into meisa_cdc_changes (relation, kind, old_row, new_row)\n"
        "            values ({relation}, what, old_image, new_image);\n",
        "locked_tables_are_no_hindrance",
        file=TRIGGERS,
    ),
)
