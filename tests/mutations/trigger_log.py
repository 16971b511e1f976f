"""The rules by which no change is lost between the app's writers and whoever reads their log."""

from tests.mutations.rule import Rule

LOG = "meisa_cdc/source/postgres_trigger_log.py"
TESTS = "tests/integration/test_trigger_log.py::test_"


def _rule(name: str, old: str, new: str, test: str, *, file: str = LOG) -> Rule:
    return Rule(name=f"trigger log: {name}", file=file, old=old, new=new, tests=(f"{TESTS}{test}",))


TRIGGER_LOG = (
    _rule(
        "only what the snapshot saw is deleted",
        "delete from {changes} where txid_visible_in_snapshot(xid, $1::text::txid_snapshot)",
        "delete from {changes} where $1::text is not null",
        "a_change_between_snapshot_and_acknowledging_stays",
    ),
    _rule(
        "of two snapshots, the one that sees more has the larger place",
        "place = visible.end - len(visible.running)",
        "place = visible.end",
        "who_saw_less_at_the_same_number_begins_anew",
    ),
    _rule(
        "that rows were missed is noticed",
        "doubt = missed != self._settled",
        "doubt = missed < self._settled",
        "a_full_log_stops_growing_and_is_taken_up_again",
    ),
    _rule(
        "whoever was missed is waited for",
        "if self.missed == noticed and self.oldest >= horizon:",
        "if self.missed == noticed:",
        "who_was_missed_and_commits_late_is_waited_for",
    ),
    _rule(
        "a trigger that was off for a while is noticed",
        "t.oid::text, t.xmin::text,",
        "t.oid::text,",
        "a_trigger_that_was_off_for_a_while_is_noticed",
    ),
    _rule(
        "a trigger that replicas go past is none",
        "t.tgtype = 29 and t.tgenabled = 'A'",
        "t.tgtype = 29 and t.tgenabled <> 'D'",
        "a_trigger_that_does_not_tell_all_is_no_log",
    ),
    _rule(
        "what cannot be told has the table read in full",
        "                self.unsure.add(table)\n",
        "",
        "a_column_that_is_gone_stops_nobody",
        file="meisa_cdc/source/trigger_rows.py",
    ),
    _rule(
        "columns that are not told of are asked for",
        "        if untold:\n",
        "        if untold and missing:\n",
        "setting_up_again_follows_the_mappings",
        file="meisa_cdc/source/following.py",
    ),
    _rule(
        "what is told is written the same, whatever the app's settings are",
        '    "datestyle": "\'ISO, MDY\'",\n',
        "",
        "values_of_every_type_are_told_as_they_are",
        file="meisa_cdc/source/postgres_triggers.py",
    ),
)
