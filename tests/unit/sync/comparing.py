"""What a look found, in a form that two ways of looking must agree on."""

from dataclasses import replace
from typing import Any

from meisa_cdc.core.plan import Summary
from meisa_cdc.sync.passes import Look


def found(look: Look) -> dict[str, Any]:
    """Return, by contact, everything that differs, is lost or cannot be used."""
    seen: dict[str, Any] = {}
    for comparison, _ in look.judge.comparisons():
        changes = [
            (each.field, repr(each.old), repr(each.new), each.causes)
            for each in (*comparison.changes, *comparison.riding)
        ]
        invalid = [(each.mapping, each.code, each.field) for each in comparison.invalid]
        told = (sorted(changes), sorted(invalid), sorted(comparison.lost))
        if any(told) or comparison.action not in ("unchanged", "orphan", "removed"):
            seen[comparison.external_id] = (str(comparison.action), *told)
        if comparison.gone_now:
            seen[comparison.external_id] = "gone"
    return seen


def counted(look: Look) -> Summary:
    """Return the figures; an orphan that becomes one in this very pass is counted a pass later."""
    return replace(look.plan.summary, orphan=0)
