"""The table of safety rules fits the code, so that each of them can be broken and noticed."""

from collections import Counter
from pathlib import Path

import pytest

from tests.mutations.rule import Rule
from tests.mutations.rules import RULES

ROOT = Path(__file__).parents[2]

AREAS = (
    "budget",
    "capture",
    "delivery",
    "derivation",
    "diff",
    "guard",
    "hand-overs",
    "log",
    "once",
    "state",
    "suppressions",
    "trigger log",
)


@pytest.mark.parametrize("rule", RULES, ids=[rule.name for rule in RULES])
def test_a_rule_is_found_once_and_can_be_broken(rule: Rule):
    """In code that compiles either way, with tests that exist."""
    text = (ROOT / rule.file).read_text(encoding="utf-8")
    after = rule.broken(text)
    assert after != text
    compile(after, rule.file, "exec")
    for test in rule.tests:
        path, _, name = test.partition("::")
        assert f"def {name.partition('[')[0]}" in (ROOT / path).read_text(encoding="utf-8")


def test_every_area_has_rules_of_its_own_name():
    """No rule stands there twice."""
    assert {
        name for name, count in Counter(rule.name for rule in RULES).items() if count > 1
    } == set()
    assert {rule.name.partition(":")[0] for rule in RULES} == {*AREAS}


def test_a_text_that_is_not_there_is_an_error():
    """A rule that no longer fits must not pass for one that is guarded."""
    rule = Rule(name="x", file="x.py", old="old", new="new", tests=())
    for text in ("", "old old"):
        with pytest.raises(LookupError, match=r"x\.py"):
            rule.broken(text)
