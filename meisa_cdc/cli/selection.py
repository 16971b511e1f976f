"""Which mappings are meant: all valid ones, or those of `--select` and `--exclude`."""

from collections.abc import Iterable, Mapping as Dict, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.core.errors import MappingError

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.wiring import Wiring

Select = Annotated[
    list[str] | None,
    typer.Option(
        "--select", metavar="NAME", help="Only these mappings; * stands for anything. Repeatable."
    ),
]
Exclude = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="NAME", help="All but these mappings. Repeatable."),
]


def valid(wiring: "Wiring") -> "Dict[str, Mapping]":
    """Return the mappings by name; none where a file is not valid, for who tells that elsewhere."""
    try:
        return wiring.mappings()
    except MappingError:
        return {}


def selected(
    names: Iterable[str],
    select: Sequence[str] | None,
    exclude: Sequence[str] | None,
    *,
    option: str = "--select",
) -> frozenset[str]:
    """Return the names that are meant. Raises a usage error for a pattern that fits none.

    `option` is how the user wrote `select`.
    """
    every = frozenset(names)
    chosen = every if not select else _matching(every, select, option)
    return chosen - _matching(every, exclude or (), "--exclude")


def _matching(names: frozenset[str], patterns: Sequence[str], option: str) -> frozenset[str]:
    found: set[str] = set()
    for pattern in patterns:
        fitting = {n for n in names if fnmatchcase(n, pattern) or n.partition("/")[2] == pattern}
        if not fitting:
            there = ", ".join(sorted(names)) or "none"
            message = f"{option} {pattern}: no mapping is called so; there are: {there}."
            raise typer.BadParameter(message)
        found |= fitting
    return frozenset(found)
