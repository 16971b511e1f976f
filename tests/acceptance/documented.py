"""The keys that docs/json.md gives each command's document, and whether a document has them."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
#: Keys whose value is keyed by the user's own names.
THEIR_OWN = {
    "body",
    "by_field",
    "failures",
    "fields",
    "ledger",
    "observed",
    "pending",
    "result",
    "sole",
}
#: Keys that may be absent: the page says when.
SOMETIMES = {"plan": {"truncated"}, "plan.invalid": {"field"}, "plan.occurrences": {"blocked"}}
NAMED = re.compile(r"`(\w+)`(?: \(([^)]*)\))?")

#: Key -> keys of the value, or of each of its items; None: whatever it holds.
Keys = dict[str, Any]


@cache
def page() -> Mapping[str, Keys]:
    """Return the documented keys by command."""
    text = PAGE.read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    found = {name: _of_example(sections[name]) for name in ("plan", "sync")}
    holds = re.search(r"^\| `guard.holds` \| (.*) \|$", sections["plan"], re.MULTILINE)
    assert holds is not None
    for command in ("plan", "sync"):
        found[command]["guard"]["holds"] = _of_prose(holds[1])
    found["status"] = _of_prose(sections["status"])
    for command, keys in re.findall(
        r"^\| `([\w ]+)` \| (.*) \|$", sections["Others"], re.MULTILINE
    ):
        found[command] = _of_cell(keys)
    borrowed = {"runs": found["status"]["runs"], "deliveries": found["show"]["deliveries"]}
    found["history"] |= borrowed
    return found


def _of_example(section: str) -> Keys:
    """Return the keys of the JSON that is shown."""
    example = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert example is not None
    keys: Keys = _keys(json.loads(example[1]))
    return keys


def _keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: None if name in THEIR_OWN else _keys(each) for name, each in value.items()}
    if isinstance(value, list):
        return _keys(value[0]) if value else None
    return None


def _of_prose(section: str) -> Keys:
    """Return the keys of a list such as: `contacts` (`present`, `removed`), `as_of`."""
    return {
        name: {inner: None for inner, _ in NAMED.findall(within)} or None
        for name, within in NAMED.findall(" ".join(section.split()))
    }


def _of_cell(text: str) -> Keys:
    """Return the keys of a cell such as: `findings`: `what`, `verdict` (`ok`, `failed`)."""
    promised = text.partition(";")[0]
    outer, _, inner = promised.partition("`: ")
    if not inner:
        return _of_prose(promised)
    return {outer.strip("`"): {name: None for name, _ in NAMED.findall(inner)}}


def command_of(arguments: Sequence[str]) -> str:
    """Return the documented command that a command line names."""
    words = " ".join(arguments[:2])
    return words if words in page() else arguments[0]


def check(arguments: Sequence[str], document: Any) -> None:
    """Assert that the document has exactly the documented keys."""
    command = command_of(arguments)
    assert command in page(), f"docs/json.md does not tell the keys of {command}"
    _compare(command, page()[command], document)


def _compare(where: str, keys: Keys, value: Any) -> None:
    assert isinstance(value, dict), where
    assert set(value) - SOMETIMES.get(where, set()) == set(keys), where
    for name, inner in keys.items():
        if inner is None or value[name] is None:
            continue
        items = value[name] if isinstance(value[name], list) else [value[name]]
        for item in items:
            _compare(f"{where}.{name}", inner, item)
