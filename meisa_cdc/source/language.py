"""What a template may say: a small part of Jinja, with a bound on what it may cost.

Jinja's sandbox keeps a template from reaching Python; it does not keep it from filling the
memory or running for hours. So only constructs whose cost can be counted are allowed, and every
use of a value is counted against one allowance a rendering.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping as Dict
from typing import Any

from jinja2 import StrictUndefined, Undefined, nodes
from jinja2.runtime import LoopContext
from jinja2.sandbox import ImmutableSandboxedEnvironment

from meisa_cdc.source.query import Text

#: Characters and elements that the values of one rendering may have, each use counted.
ALLOWANCE = 2_000_000
#: Elements or characters of one value.
LARGEST_VALUE = 100_000
LARGEST_RANGE = 10_000
LARGEST_INTEGER = 2**64
LARGEST_EXPONENT = 64
NESTING = 40

ALLOWED = (
    nodes.Template,
    nodes.Output,
    nodes.TemplateData,
    nodes.For,
    nodes.If,
    nodes.Assign,
    nodes.Name,
    nodes.Const,
    nodes.Tuple,
    nodes.List,
    nodes.Dict,
    nodes.Pair,
    nodes.Keyword,
    nodes.CondExpr,
    nodes.Filter,
    nodes.Test,
    nodes.Call,
    nodes.Getattr,
    nodes.Getitem,
    nodes.Slice,
    nodes.Concat,
    nodes.Compare,
    nodes.Operand,
    nodes.BinExpr,
    nodes.UnaryExpr,
)
CONSTRUCTS = {
    "Block": "{% block %}",
    "CallBlock": "{% call %}",
    "Extends": "{% extends %}",
    "FilterBlock": "{% filter %}",
    "FromImport": "{% from %}",
    "Import": "{% import %}",
    "Include": "{% include %}",
    "Macro": "{% macro %}",
    "AssignBlock": "{% set %} … {% endset %}",
    "With": "{% with %}",
}
# Filters that only `checked` puts in: no template can spell a name with a blank.
USE, EACH, SQL, CONCAT = "its use", "its elements", "its text", "its parts"
FUNCTIONS = frozenset({"config", "only", "var", "changed_since", "range"})
METHODS: Dict[type, frozenset[str]] = {
    str: frozenset({"endswith", "lower", "startswith", "strip", "upper"}),
    dict: frozenset({"get", "items", "keys", "values"}),
    LoopContext: frozenset(
        {"first", "index", "index0", "last", "length", "nextitem", "previtem", "revindex"}
    ),
}


class Refused(Exception):
    """A template does what it must not; becomes a MappingError once the line is known."""

    def __init__(self, message: str, *, hint: str = "", line: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.line = line


class Forbidden(Refused):
    """The SQL could be understood, and does what a mapping must not do."""


class Allowance:
    """What one rendering may still cost."""

    def __init__(self) -> None:
        self._left = ALLOWANCE

    def spend(self, amount: int) -> None:
        """Count a cost. Raises Refused once the whole allowance is spent."""
        self._left -= amount
        if self._left < 0:
            raise Refused("the template is too large or loops too often")

    def used(self, value: object) -> object:
        """Count one use of a value and return it."""
        self.spend(1 + size_of(value))
        return value

    def each(self, value: Any) -> Iterator[object]:
        """Yield the elements of a loop, each counted."""
        for element in value:
            self.spend(20)
            yield element


def size_of(value: object) -> int:
    """Return how many characters and elements a value has. Raises Refused above the limit."""
    if isinstance(value, str):
        size = len(value)
    elif isinstance(value, dict):
        size = sum(1 + size_of(key) + size_of(each) for key, each in value.items())
    elif isinstance(value, list | tuple):
        size = sum(1 + size_of(each) for each in value)
    elif isinstance(value, int):
        size = 0 if abs(value) < LARGEST_INTEGER else LARGEST_VALUE + 1
    else:
        return 0
    if size > LARGEST_VALUE:
        raise Refused("a value of the template is too large")
    return size


def require(value: object) -> None:
    """Raise where a value is undefined: UndefinedError with its name, or Refused."""
    if isinstance(value, Undefined):
        str(value)  # raises for a name that is not there
        raise Refused("an if without an else has no value", hint="Write {% if … %}text{% endif %}.")


def scalar(value: object) -> str:
    """Return a plain value as text. Raises Refused for anything else."""
    require(value)
    if isinstance(value, str | int | float):
        return str(value)
    raise Refused(f"a {type(value).__name__} is no text")


class Language(ImmutableSandboxedEnvironment):
    """The environment that templates are compiled in; one for every rendering."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(
        self, finalize: Callable[..., str], functions: Dict[str, Callable[..., object]]
    ) -> None:
        super().__init__(
            undefined=StrictUndefined, finalize=finalize, optimized=False, cache_size=0
        )
        self.allowance = Allowance()
        self._functions = tuple(functions.values())
        self.globals.clear()
        self.globals.update(functions)
        self.filters.clear()
        self.filters[USE] = self.allowance.used
        self.filters[EACH] = self.allowance.each
        self.filters[SQL] = lambda text, line: Text(sql=text, line=line)

    def is_safe_attribute(self, obj: Any, attr: str, _value: Any) -> bool:
        """Allow a few harmless methods of plain values, and what a loop knows of itself."""
        return any(isinstance(obj, kind) and attr in names for kind, names in METHODS.items())

    def is_safe_callable(self, obj: Any) -> bool:
        """Allow our own functions and the methods that may be looked up."""
        return obj in self._functions or type(getattr(obj, "__self__", None)) in METHODS

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Calculate with numbers, join texts or lists; nothing else, nothing large."""
        require(left)
        require(right)
        if operator == "+" and type(left) is type(right) and isinstance(left, str | list):
            return self.allowance.used(left + right)
        if not isinstance(left, int | float) or not isinstance(right, int | float):
            raise Refused(
                f"{type(left).__name__} {operator} {type(right).__name__} is not possible here",
                hint="Join texts with ~ or +.",
            )
        if operator == "**" and abs(right) > LARGEST_EXPONENT:
            raise Refused("the exponent is too large")
        size_of(left), size_of(right)
        return self.allowance.used(super().call_binop(context, operator, left, right))


def checked(tree: nodes.Template) -> nodes.Template:
    """Return the tree with every use of a value counted. Raises Refused for other constructs."""
    _visit(tree, 0)
    return tree


def _visit(node: nodes.Node, depth: int) -> nodes.Node:
    if not isinstance(node, ALLOWED):
        name = type(node).__name__
        raise Refused(
            f"{CONSTRUCTS.get(name, name)} is not supported in mappings",
            hint="Write the query out; if, for, set and filters are available.",
            line=node.lineno,
        )
    if depth > NESTING:
        raise Refused("the template is nested too deeply", line=node.lineno)
    _check_call(node)
    for name, value in node.iter_fields():
        if isinstance(value, nodes.Node):
            setattr(node, name, _visit(value, depth + 1))
        elif isinstance(value, list):
            value[:] = [
                _visit(each, depth + 1) if isinstance(each, nodes.Node) else each for each in value
            ]
    return _counted(node)


def _check_call(node: nodes.Node) -> None:
    if isinstance(node, nodes.For) and node.recursive:
        raise Refused("recursive loops are not supported in mappings", line=node.lineno)
    if not isinstance(node, nodes.Call) or isinstance(node.node, nodes.Getattr):
        return
    if not isinstance(node.node, nodes.Name) or node.node.name not in FUNCTIONS:
        name = node.node.name if isinstance(node.node, nodes.Name) else "this"
        raise Refused(
            f"there is no function {name}",
            hint=f"There are {', '.join(sorted(FUNCTIONS))}.",
            line=node.lineno,
        )


def _counted(node: nodes.Node) -> nodes.Node:
    if isinstance(node, nodes.TemplateData):
        return _filter(SQL, nodes.Const(node.data), node, [nodes.Const(node.lineno)])
    if isinstance(node, nodes.For):
        node.iter = _filter(EACH, node.iter, node)
    if isinstance(node, nodes.Name):
        plain = node.ctx == "load" and node.name not in FUNCTIONS and node.name != "loop"
        return _filter(USE, node, node) if plain else node
    if isinstance(node, nodes.List | nodes.Dict):
        return _filter(USE, node, node)
    if isinstance(node, nodes.Tuple) and node.ctx == "load":
        return _filter(USE, node, node)
    if isinstance(node, nodes.Concat):
        return _filter(CONCAT, nodes.List(node.nodes), node)
    return node


def _filter(
    name: str, value: nodes.Node, at: nodes.Node, arguments: Iterable[nodes.Expr] = ()
) -> nodes.Filter:
    made = nodes.Filter(value, name, list(arguments), [], None, None)
    made.set_lineno(at.lineno)
    return made
