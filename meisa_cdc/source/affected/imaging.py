"""How images of changed rows, and what is bound, are written in each kind of SQL."""

import re
from collections.abc import Callable, Mapping as Dict, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from meisa_cdc.source.affected.answers import (
    OLD,
    Bound,
    ImageRows,
    Images,
    Parameter,
    Shape,
    Since,
)

#: A placeholder with a number, where we write the values into the text ourselves.
NUMBERED = re.compile(r"\?(\d+)")
#: Returns what stands for a parameter.
Place: TypeAlias = Callable[[Parameter], str]
#: What a log that SQLite keeps calls the place of an image, and whether it is one from before.
PLACE, WAS = "meisa_place", "meisa_was"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imaging:
    """What one kind of SQL needs."""

    #: Number of a parameter, from 1 on, and the parameter -> what stands for it.
    placeholder: Callable[[int, Parameter], str]
    #: Table, kind of image (CHANGED or OLD), columns, and what writes parameters -> a query for
    #: these columns, in their own types; "": images cannot be had.
    images: Callable[[Shape, str, Sequence[str], Place], str]
    #: Whether other tables and their old images are joined in queries of their own, each in the
    #: order in which conditions lead from the changed rows; otherwise a union of both is joined.
    apart: bool = False
    #: What encloses names.
    quote: str = '"'


def imaging_of(grammar: str) -> Imaging:
    """Return what SQL of a kind needs, as sqlglot calls it."""
    return KINDS.get(grammar, BLANK)


def quoted(name: str, quote: str = '"') -> str:
    """Return a name in quotes."""
    return quote + name.replace(quote, quote * 2) + quote


def _from_arrays(shape: Shape, kind: str, columns: Sequence[str], place: Place) -> str:
    """Return the rows of arrays of texts, one parameter a column, cast to the columns' types."""
    names = ", ".join(map(quoted, columns))
    places = [place(Images(table=shape.name, which=kind, column=each)) for each in columns]
    arrays = ", ".join(f"{each}::text[]" for each in places)
    casts = ", ".join(f"{quoted(each)}::{shape.columns[each]}" for each in columns)
    return f"select {casts} from unnest({arrays}) as i ({names})"  # noqa: S608 - names from the catalogue


def _from_log(shape: Shape, kind: str, columns: Sequence[str], place: Place) -> str:
    """Return the rows of a table of ours, whose columns are declared as those of the table."""
    if not shape.kept:
        return ""
    named = ", ".join(f"i.{quoted(each)}" for each in columns)
    since = f"i.{PLACE} > {place(Since())}"
    old = f" and i.{WAS}" if kind == OLD else ""
    return f"select {named} from {shape.kept} as i where {since}{old}"  # noqa: S608 - names from the catalogue


def _from_json(shape: Shape, kind: str, columns: Sequence[str], place: Place) -> str:
    """Return the rows of one array of arrays; columns that nobody may look at are left NULL."""
    told = tuple(each for each in columns if each not in shape.blind)
    types = {"int8": "bigint unsigned"}
    declared = ", ".join(
        f"`{each}` {types.get(shape.columns[each], shape.columns[each])} path '$[{number}]'"
        for number, each in enumerate(told)
    )
    rows = place(ImageRows(table=shape.name, which=kind, columns=told))
    names = ", ".join(f"i.`{each}`" if each in told else "null" for each in columns)
    declared = declared or "one int path '$'"
    return f"select {names} from json_table({rows}, '$[*]' columns ({declared})) as i"  # noqa: S608 - names from the catalogue


def _nowhere(_shape: Shape, _kind: str, _columns: Sequence[str], _place: Place) -> str:
    return ""


def _named(_number: int, parameter: Parameter) -> str:
    return f":{parameter.name}" if isinstance(parameter, Bound) else "?"


BLANK = Imaging(placeholder=_named, images=_nowhere)
KINDS: Dict[str, Imaging] = {
    "postgres": Imaging(placeholder=lambda number, _: f"${number}", images=_from_arrays),
    "mysql": Imaging(
        placeholder=lambda number, _: f"?{number}", images=_from_json, apart=True, quote="`"
    ),
    "sqlite": Imaging(placeholder=lambda number, _: f"?{number}", images=_from_log, apart=True),
}
