"""The rules by which no change of a SQLite file is lost, whatever is done to it."""

from tests.mutations.rule import Rule

SOURCE = "meisa_cdc/source/"
TESTS = "tests/integration/test_trigger_log_sqlite.py::test_"


def _rule(name: str, file: str, old: str, new: str, test: str) -> Rule:
    return Rule(
        name=f"trigger log: SQLite: {name}",
        file=f"{SOURCE}{file}",
        old=old,
        new=new,
        tests=(f"{TESTS}{test}",),
    )


TRIGGER_LOG_SQLITE = (
    _rule(
        "rows that an INSERT pushes out are told",
        "sqlite_triggers.py",
        'written["insert"] = ("before insert", " or ".join(there), pushed)',
        'written["insert"] = ("before insert", "0", pushed)',
        "rows_that_are_pushed_out_are_told",
    ),
    _rule(
        "rows that an UPDATE pushes out are told",
        "sqlite_triggers.py",
        'written["update"] = ("before update", " or ".join(moved), pushed)',
        'written["update"] = ("before update", "0", pushed)',
        "rows_that_are_pushed_out_are_told",
    ),
    _rule(
        "each unique key may push a row out",
        "sqlite_triggers.py",
        "        self._keys += self._table.unique\n",
        "",
        "rows_that_are_pushed_out_are_told",
    ),
    _rule(
        "a key is compared as its index does",
        "sqlite_triggers.py",
        "{_given(column, default)} collate {collation}",
        "{_given(column, default)} collate binary",
        "tables_that_replace_by_themselves",
    ),
    _rule(
        "a default may push a row out",
        "sqlite_triggers.py",
        'return f"coalesce({new}, {default})" if default else new',
        "return new",
        "a_default_in_place_of_null_pushes_out",
    ),
    _rule(
        "values that are equal and stored in another way are told",
        "sqlite_triggers.py",
        '        if known.type == "blob":\n',
        '        if known.type == "none":\n',
        "what_is_stored_in_another_way_is_told",
    ),
    _rule(
        "a table that was made anew is another one",
        "sqlite_trigger_log.py",
        'identity=f"triggers {self.name} {epoch} {self.cookie}"',
        'identity=f"triggers {self.name} {epoch}"',
        "a_table_that_was_made_anew_is_read_in_full",
    ),
    _rule(
        "a history that went another way is noticed",
        "sqlite_trigger_log.py",
        "return any(place == place_of(place >> BITS, t) for rows in found for (t,) in rows)",
        "return any(rows for rows in found)",
        "a_file_that_was_put_back_is_read_in_full",
    ),
    _rule(
        "so it is where the reader stands at the last change",
        "sqlite_trigger_log.py",
        "        if place == place_of(number, token):\n",
        "        if place >> BITS == number:\n",
        "a_file_that_was_put_back_is_read_in_full",
    ),
    _rule(
        "a ring that came round tells nothing",
        "sqlite_trigger_log.py",
        "start=max(0, place - RING) << BITS,",
        "start=0,",
        "who_stood_where_the_ring_passed_has_everything_read",
    ),
    _rule(
        "triggers have to be as they were made",
        "sqlite_trigger_log.py",
        "name not in there or there[name].sql != sql for",
        "name not in there for",
        "a_log_that_is_not_whole_is_not_used",
    ),
    _rule(
        "triggers of others come after ours",
        "sqlite_trigger_log.py",
        "return all(each.number < first for each in others)",
        "return first > 0",
        "a_log_that_is_not_whole_is_not_used",
    ),
    _rule(
        "images compare as their columns do",
        "sqlite_triggers.py",
        "{SQLITE.quoted(name)} {each.table.columns[name].type}",
        "{SQLITE.quoted(name)}",
        "values_of_any_kind_in_any_column_meet_as_they_do",
    ),
    _rule(
        "columns with a collation of their own are not compared",
        "affected/relaxing.py",
        "if self._is_opaque(asked) or self._is_opaque(listed):",
        "if False:",
        "values_of_any_kind_in_any_column_meet_as_they_do",
    ),
    _rule(
        "a column beside an aggregate is that of any row",
        "affected/relaxing.py",
        'if seek and self._grammar != "postgres" and self._is_one_row(node):',
        "if False:",
        "columns_beside_an_aggregate_are_those_of_any_row",
    ),
    _rule(
        "a trigger that leaves others unrun is feared",
        "sqlite_schema.py",
        "if not _is_before(each) and LEAVING.search(each.sql):",
        "if False:",
        "what_triggers_cannot_tell_is_said",
    ),
    _rule(
        "what a child's triggers may leave halfway is not told",
        "sqlite_schema.py",
        "return self._halfway(entry)",
        'return ""',
        "what_triggers_cannot_tell_is_said",
    ),
    _rule(
        "rows that the app's own triggers move before ours look are not told",
        "sqlite_schema.py",
        "if _is_before(each) and found.unique and own.search(each.sql):",
        "if False:",
        "what_triggers_cannot_tell_is_said",
    ),
    _rule(
        "casts are taken over where they are written as they were read",
        "affected/plain.py",
        "return node.to.this not in CASTS or bool(node.to.expressions)",
        "return False",
        "sql_that_sqlite_means_otherwise_is_left_out",
    ),
    _rule(
        "predicates in predicates are not taken over",
        "affected/plain.py",
        "return any(isinstance(each, (*PREDICATES, exp.Not)) for each in node.iter_expressions())",
        "return False",
        "sql_that_sqlite_means_otherwise_is_left_out",
    ),
    _rule(
        "IN without parentheses reads a table",
        "affected/reading.py",
        'if isinstance(node, exp.In) and node.args.get("field") is not None:',
        "if False:",
        "sql_that_sqlite_means_otherwise_is_left_out",
    ),
    _rule(
        "a + in front of a value is not followed",
        "affected/sqlite_reading.py",
        "if kind is TokenType.PLUS and before not in ENDS:",
        "if False:",
        "sql_that_sqlite_means_otherwise_is_left_out",
    ),
    _rule(
        "a type's name before a string is a column",
        "affected/sqlite_reading.py",
        "if kind in FOREIGN or (kind is TokenType.STRING and before in TYPES):",
        "if False:",
        "sql_that_sqlite_means_otherwise_is_left_out",
    ),
)
