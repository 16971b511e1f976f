"""What a log of changed rows must hold for nothing to be missed."""

from tests.mutations.rule import Rule

T_LOGGED = "tests/unit/sync/test_logged.py"
T_SLOT = "tests/integration/test_source_slot.py"

LOG_RULES = (
    Rule(
        name="log: what the snapshot does not see stays in it",
        file="meisa_cdc/core/changelog.py",
        old="            return upto, False",
        new="            continue",
        tests=("tests/unit/core/test_changelog.py", T_SLOT),
    ),
    Rule(
        name="log: one that begins too late says too little",
        file="meisa_cdc/core/changelog.py",
        old="self.start <= place and",
        new="self.start >= 0 and",
        tests=(T_LOGGED,),
    ),
    Rule(
        name="log: whom it told of before is remembered",
        file="meisa_cdc/sync/logged.py",
        old="chain([before.again],",
        new="chain([],",
        tests=(T_LOGGED,),
    ),
    Rule(
        name="log: whom it tells of is remembered where a mapping is not due",
        file="meisa_cdc/sync/capture.py",
        old="            reader.put_off(enabled[name])",
        new="            pass",
        tests=(T_LOGGED,),
    ),
    Rule(
        name="log: a mapping with a pace of its own keeps it",
        file="meisa_cdc/sync/passes.py",
        old="each.every is None",
        new="each.enabled",
        tests=(T_LOGGED,),
    ),
    Rule(
        name="log: of an old row that is told in part, the rest is not known",
        file="meisa_cdc/source/pgoutput.py",
        old='if data[place] == ord("K"):',
        new='if data[place] == ord("?"):',
        tests=("tests/unit/source/test_source_pgoutput.py",),
    ),
    Rule(
        name="log: what a table looks like is part of what it tells",
        file="meisa_cdc/source/following.py",
        old="standing.tables[t.table].shape",
        new="t.table",
        tests=(T_SLOT,),
    ),
    Rule(
        name="log: too much of it is not taken for all",
        file="meisa_cdc/source/following.py",
        old="        if told.scan is not None:\n            return told.scan\n",
        new="",
        tests=(T_SLOT,),
    ),
)
