"""One template -> one query, its values bound, and what it says in config()."""

import re
from collections.abc import Callable, Iterator, Mapping as Dict, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, time
from decimal import Decimal
from difflib import get_close_matches
from types import TracebackType

from jinja2 import TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.filters import do_default, do_float, do_int, do_round

from meisa_cdc.core.errors import MappingError
from meisa_cdc.source.dialects import Dialect
from meisa_cdc.source.language import (
    CONCAT,
    LARGEST_RANGE,
    Allowance,
    Language,
    Refused,
    checked,
    require,
    scalar,
)
from meisa_cdc.source.query import Bound, Only, Piece, Query, Since, Text

#: Characters of a file, and of what it renders to.
LARGEST_TEXT = 200_000
MOST_VALUES = 10_000
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]*")
COLUMN = re.compile(
    r"""(?:[^\W\d][\w$]*|"(?:[^"\x00]|"")+"|`(?:[^`\x00]|``)+`)"""
    r"""(?:\s*\.\s*(?:[^\W\d][\w$]*|"(?:[^"\x00]|"")+"|`(?:[^`\x00]|``)+`)){0,3}"""
)
BINDABLE = (str, int, float, bool, Decimal, date, time)
#: What a mistake in a template makes Python raise.
MISTAKES = (
    TemplateError,
    TypeError,
    ValueError,
    ArithmeticError,
    LookupError,
    AttributeError,
    RecursionError,
    # Jinja leaves it to Python to notice that an argument is given twice.
    SyntaxError,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rendered:
    """What a template comes to."""

    query: Query
    #: The arguments of config(), as written.
    config: Dict[str, object] = field(default_factory=dict)
    #: Line of config(); 0 where there is none.
    line: int = 0


def render(text: str, *, mapping: str, variables: Dict[str, object], dialect: Dialect) -> Rendered:
    """Render one template. Raises MappingError that names the file and the line."""
    rendering = _Rendering(variables, dialect)
    try:
        return rendering.run(text)
    except Refused as error:
        line = error.line or _line_of(error.__traceback__)
        raise MappingError(error.message, mapping=mapping, line=line, hint=error.hint) from None
    except TemplateSyntaxError as error:
        raise MappingError(_said(error), mapping=mapping, line=error.lineno) from None
    except MISTAKES as error:
        # Before the template runs, what is wrong is in the call of config().
        line = _line_of(error.__traceback__) or rendering.line
        raise MappingError(_said(error), mapping=mapping, line=line) from None


def _said(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "the template is nested too deeply"
    if isinstance(error, SyntaxError):
        # Its place is one in the code that Jinja made.
        return error.msg
    return str(error).rstrip(".") or type(error).__name__


def _line_of(trace: TracebackType | None) -> int:
    line = 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<template>":
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


class _Rendering:
    """One run of one template; collects what it puts out."""

    def __init__(self, variables: Dict[str, object], dialect: Dialect) -> None:
        self._variables = variables
        self._dialect = dialect
        self._pieces: list[Piece] = []
        self._length = 0
        self._values = 0
        self._config: dict[str, object] | None = None
        #: Line of config(); 0 where there is none.
        self.line = 0
        # The line that the output has come to, for pieces that do not know their own.
        self._at = 1

    def run(self, text: str) -> Rendered:
        if "\x00" in text:
            raise Refused("the file contains a NUL character")
        if len(text) > LARGEST_TEXT:
            raise Refused(f"the file is longer than {LARGEST_TEXT:,} characters")
        language = Language(
            self._put_out,
            {
                "config": self.config,
                "only": self.only,
                "var": self.var,
                "changed_since": self.changed_since,
                "range": numbers,
            },
        )
        language.filters.update(Filters(self._dialect, language.allowance).by_name())
        tree = language.parse(text)
        self.line = next((call.lineno for call in _calls(tree, "config")), 0)
        language.from_string(checked(tree)).render(dialect=self._dialect.name, null=None)
        query = Query(pieces=tuple(self._pieces))
        return Rendered(query=query, config=self._config or {}, line=self.line)

    def config(self, *positional: object, **settings: object) -> Text:
        """Take the mapping's settings; put out nothing."""
        if positional:
            raise Refused("config takes settings by name", hint="Write config(every='1m').")
        if self._config is not None:
            raise Refused("config is called twice", hint="Put all settings into one call.")
        for value in settings.values():
            require(value)
        self._config = settings
        return Text(sql="", line=0)

    def only(self, *columns: object) -> Only:
        """Mark the place of the condition on the keys that are looked at."""
        return Only(column=_column(columns, "only", "u.id"))

    def changed_since(self, *columns: object) -> Since:
        """Mark the place of the condition that a row changed lately."""
        return Since(column=_column(columns, "changed_since", "u.updated_at"))

    def var(self, name: object, *default: object) -> object:
        """Return a variable of the settings file."""
        if not isinstance(name, str):
            raise Refused("var takes a name in quotes", hint="Write var('name', default).")
        if name in self._variables:
            return self._variables[name]
        if default:
            return default[0]
        near = get_close_matches(name, self._variables, 1)
        raise Refused(
            f"there is no variable {name!r}",
            hint=f"Did you mean {near[0]!r}?"
            if near
            else f"Set it under [vars] in the settings file, or write var('{name}', default).",
        )

    @pass_context  # with it, Jinja cannot evaluate constants while it compiles
    def _put_out(self, _: object, value: object) -> str:
        piece = value if isinstance(value, Text | Only | Since) else _bound(value)
        if isinstance(piece, Text):
            self._length += len(piece.sql)
        elif isinstance(piece, Bound):
            self._values += len(piece.values)
        if self._length > LARGEST_TEXT or self._values > MOST_VALUES:
            raise Refused(
                f"the query has over {LARGEST_TEXT:,} characters or {MOST_VALUES:,} values"
            )
        if not isinstance(piece, Text) or piece.sql:
            self._pieces.append(replace(piece, line=piece.line or self._at))
        if isinstance(piece, Text) and piece.line:
            self._at = piece.line + piece.sql.count("\n")
        return ""


def _column(names: tuple[object, ...], function: str, example: str) -> str:
    for name in names:
        require(name)
    (name,) = names if len(names) == 1 else (None,)
    if not isinstance(name, str) or not COLUMN.fullmatch(name.strip()):
        given = ", ".join(map(repr, names)) or "nothing"
        raise Refused(
            f"{function}() takes the name of a column, not {given}",
            hint=f"Write {function}('{example}').",
        )
    return name.strip()


def _calls(tree: nodes.Template, name: str) -> Iterator[nodes.Call]:
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name == name:
            yield call


def _bound(value: object) -> Bound:
    if isinstance(value, list | tuple):
        return Bound(values=tuple(_bindable(each) for each in value), line=0, many=True)
    return Bound(values=(_bindable(value),), line=0)


def _bindable(value: object) -> object:
    require(value)
    if value is not None and not isinstance(value, BINDABLE):
        raise Refused(
            f"a {type(value).__name__} cannot be a value of the query",
            hint="Numbers, texts, dates and lists of them can.",
        )
    if isinstance(value, str):
        _require_text(value)
    return value


def _require_text(value: str) -> None:
    try:
        value.encode()
    except UnicodeEncodeError:
        raise Refused("a text with half a surrogate pair cannot be a value") from None
    if "\x00" in value:
        raise Refused("a text with a NUL character cannot be a value")


def numbers(*bounds: int) -> list[int]:
    """Return a range as a list. Raises Refused for a long one."""
    whole = range(*bounds)
    if len(whole) > LARGEST_RANGE:
        raise Refused(f"a range has at most {LARGEST_RANGE:,} elements")
    return list(whole)


class Filters:
    """The filters that templates have."""

    def __init__(self, dialect: Dialect, allowance: Allowance) -> None:
        self._dialect = dialect
        self._allowance = allowance

    def by_name(self) -> dict[str, Callable[..., object]]:
        """Return every filter by its name."""
        return {
            CONCAT: self.joined,
            "abs": abs,
            "count": len,
            "d": do_default,
            "default": do_default,
            "first": lambda value: value[0],
            "float": do_float,
            "identifier": self.identifier,
            "int": do_int,
            "join": self.joined,
            "last": lambda value: value[-1],
            "length": len,
            "list": list,
            "lower": lambda value: scalar(value).lower(),
            "max": max,
            "min": min,
            "replace": self.replaced,
            "reverse": lambda value: value[::-1],
            "round": do_round,
            "sort": sorted,
            "string": scalar,
            "trim": lambda value: scalar(value).strip(),
            "unique": lambda value: list(dict.fromkeys(value)),
            "upper": lambda value: scalar(value).upper(),
        }

    def identifier(self, value: object) -> Text:
        """Return a name, quoted for the database, that is part of the SQL text."""
        parts = value.split(".") if isinstance(value, str) else [""]
        if not all(NAME.fullmatch(part) for part in parts):
            raise Refused(
                f"{value!r} is not the name of a table or column",
                hint="Letters, digits and _ make a name, with a point between schema and table.",
            )
        return Text(sql=".".join(self._dialect.quoted(part) for part in parts), line=0)

    def joined(self, values: Sequence[object], separator: str = "") -> str:
        """Return plain values as one text."""
        parts = [scalar(each) for each in values]
        self._allowance.spend(sum(map(len, parts)) + len(separator) * len(parts))
        return separator.join(parts)

    def replaced(self, value: object, old: str, new: str) -> str:
        """Return a text with one part of it replaced by another."""
        text = scalar(value)
        self._allowance.spend(text.count(old) * len(new) + len(text))
        return text.replace(old, new)
