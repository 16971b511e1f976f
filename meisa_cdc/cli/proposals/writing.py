"""How a proposed mapping is written down."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import wrap

from meisa_cdc.cli.proposals.tables import Column, Table

WIDTH = 92


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """One mapping to be."""

    #: File name without folder and ending.
    name: str
    text: str
    #: What it yields beside the key.
    fields: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Writer:
    """Writes SQL for one dialect."""

    #: `postgresql`, `mysql` or `sqlite`.
    dialect: str
    #: Writes an identifier as the dialect needs it.
    quote: Callable[[str], str]

    def column(self, alias: str, name: str) -> str:
        """Return a column with the letter of its table."""
        return f"{alias}.{self.quote(name)}"

    def only(self, alias: str, name: str) -> str:
        """Return the condition on the contacts that are looked at."""
        return "{{ only('" + self.column(alias, name) + "') }}"

    def table(self, table: Table, alias: str) -> str:
        """Return a table with the letter it goes by."""
        return f"{self.quote(table.name)} {alias}"

    def total(self, alias: str, column: Column) -> str:
        """Return the sum of an amount, without the noise of binary fractions."""
        total = f"sum({self.column(alias, column.name)})"
        if column.family == "integer":
            return total
        # Postgres rounds only what is no binary fraction.
        return f"round({f'cast({total} as numeric)' if self.dialect == 'postgresql' else total}, 2)"

    def mapping(
        self, purpose: str, settings: Mapping[str, str], fields: Mapping[str, str], *sql: str
    ) -> str:
        """Return a file: its purpose, its config(), its query.

        `settings` and the values of `fields` are written as they are.
        """
        lines = [f"-- {line}" for line in wrap(purpose, WIDTH)]
        arguments = [f"{name}={value}" for name, value in settings.items()]
        if fields:
            inner = "".join(f"    '{name}': {value},\n" for name, value in fields.items())
            arguments.append("fields={\n" + inner + "}")
        if arguments:
            lines.append("{{ config(" + ", ".join(arguments) + ") }}")
        return "\n".join([*lines, *sql]) + "\n"


def selected(expressions: Mapping[str, str]) -> list[str]:
    """Return the lines of a select list; `expressions` by the name they get."""
    columns = [
        sql if sql.endswith(f".{name}") else f"{sql} as {name}" for name, sql in expressions.items()
    ]
    return [f"    {line}" for line in ",\n".join(columns).split("\n")]
