"""The rules by which no affected contact is missed: see `meisa_cdc/source/affected/`."""

from tests.mutations.rule import Rule

AFFECTED = "meisa_cdc/source/affected/"
CASES = "tests/unit/source/test_source_affected.py"
FUZZ = "tests/property/test_affected_on_postgres.py::test_no_key_is_missed"


def _rule(name: str, module: str, old: str, new: str, test: str = FUZZ) -> Rule:
    file = f"{AFFECTED}{module}.py"
    return Rule(name=f"derivation: {name}", file=file, old=old, new=new, tests=(test,))


DERIVATION = (
    _rule(
        "the row that was there before affects as the one after",
        "asking",
        "        if each.old is not None:\n            yield each.old\n",
        "        if each.old is not None and each.new is None:\n            yield each.old\n",
    ),
    _rule(
        "rows of other tables that are gone are gone through, too",
        "writing",
        " union all {old}",
        "",
    ),
    _rule(
        "the old rows of other tables are asked for even where these did not change the rest",
        "asking",
        "            images = _images(changes[table], parameter.which)\n",
        "            images = _images(changes[table] if parameter.which == CHANGED else [], '')\n",
    ),
    _rule(
        "a whole row is all its columns",
        "reading",
        "    whole = {column.name for column in tree.find_all(exp.TableColumn)}\n",
        "    whole = set()\n",
    ),
    _rule(
        "the right side of a LEFT JOIN may be missing",
        "relaxing",
        'if join.side == "LEFT" else group',
        "if False else group",
    ),
    _rule(
        "what asks about a nullable side says nothing of its changed rows",
        "branches",
        "if not foreign or (not inside and is_strict(condition.expression)):",
        "if True:",
    ),
    _rule(
        "an outer join is an inner one where NULL would not do",
        "branches",
        "        if is_strict(condition.expression):\n            for name",
        "        if True:\n            for name",
    ),
    _rule(
        "a key on a nullable side is looked for without it as well",
        "branches",
        "    if names_in(absent) or not _is_null(absent):\n",
        "    if False:\n",
    ),
    _rule(
        "who lost the match is told by the row that is lost",
        "branches",
        "    if any(source.changed for source in inside.values()):\n",
        "    if False:\n",
    ),
    _rule(
        "a changed row changes its whole group",
        "knowing",
        "        limits.append((group.expressions, UNGROUPED))\n",
        "        pass\n",
        # Postgres refuses such columns, or knows them by the primary key; others pick any.
        f"{CASES}::test_what_needs_a_full_scan_says_why",
    ),
    _rule(
        "a changed row changes its whole partition",
        "knowing",
        "    limits += ((partition, UNPARTITIONED) for partition in _partitions(node))\n",
        "",
    ),
    _rule(
        "a changed row changes who is first",
        "knowing",
        "        limits.append((given, INDISTINCT))\n",
        "        pass\n",
    ),
    _rule(
        "a changed row changes what a LIMIT picks",
        "relaxing",
        "        if seek and isinstance(node, exp.Query) and _is_cut(node):\n",
        "        if False:\n",
    ),
    _rule(
        "an aggregate has a row where there is none to add up",
        "relaxing",
        "        if not seek and self._is_one_row(node):\n",
        "        if False:\n",
    ),
    _rule(
        "NOT IN depends on NULLs",
        "relaxing",
        "            if not only_true:\n",
        "            if False:\n",
    ),
    _rule(
        "queries inside expressions are looked through",
        "relaxing",
        "            for part, positive in _parts(node):\n",
        "            for part, positive in ():\n",
    ),
    _rule(
        "queries inside join conditions are looked through",
        "relaxing",
        "                for condition in item.on:\n                    yield from",
        "                for condition in ():\n                    yield from",
    ),
    _rule(
        "both sides of EXCEPT count",
        "relaxing",
        "        if not seek and not isinstance(node, exp.Union):\n",
        "        if not isinstance(node, exp.Union):\n",
    ),
    _rule(
        "a table that occurs twice is looked at twice",
        "relaxing",
        "        for item in items:\n            yield from self._joined(items, empty, item)\n",
        "        for item in items[:1]:\n            yield from self._joined(items, empty, item)\n",
    ),
    _rule(
        "equal values of different types are not the same text",
        "writing",
        "    return any(kinds <= same for same in (INTEGERS, TEXTS, UUIDS))\n",
        "    return True\n",
    ),
    _rule(
        "of equal values any spelling may be shown",
        "relaxing",
        "return CALCULATED if not said or self._depends_on_spelling(resolved) else resolved",
        "return resolved if said else CALCULATED",
        f"{CASES}::test_what_depends_on_the_spelling_is_not_followed",
    ),
    _rule(
        "only what sees the items before it does",
        "relaxing",
        "scope if item.lateral else start[0]",
        "scope",
        f"{CASES}::test_only_what_has_to_be_is_scanned",
    ),
    _rule(
        "a part of the query goes before a table of its name",
        "reading",
        "        if any(each.alias == table.name for each in named):\n            return True\n",
        "",
    ),
    _rule(
        "a condition on the clock is no condition",
        "plain",
        "    ) and not any(unsteady(expression))\n",
        "    )\n",
        f"{CASES}::test_what_changes_by_itself_is_named_and_no_condition",
    ),
    _rule(
        "what may be written back in another sense is left out",
        "plain",
        "        (isinstance(node, PLAIN) and",
        "        (True and",
        f"{CASES}::test_conditions_that_are_not_plain_are_left_out",
    ),
    _rule(
        "a function that may read tables asks for scans",
        "reading",
        "    if name in opaque:\n",
        "    if False:\n",
        f"{CASES}::test_what_needs_a_full_scan_says_why",
    ),
)
