"""What a command prints: results to stdout, everything else to stderr."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from meisa_cdc.core.errors import Stop
from meisa_cdc.logs import Redactor, Unfailing

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.progress import Progress, TaskID
    from rich.table import Table

#: Wide enough that nothing is cut where no terminal says how wide it is.
UNLIMITED = 1000
# Also what turns the direction of writing, so that a value cannot pose as another.
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")


class Format(StrEnum):
    """How results are printed."""

    TEXT = "text"
    JSON = "json"


def printable(text: str) -> str:
    """Return the text with control characters written out, so that data cannot steer a terminal."""
    return CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)


class Output:
    """Where a command's words go.

    `text` speaks in the text format alone and `json` in the JSON format alone, so a command says
    both and need not ask which is wanted. `colour` allows colours on a terminal.
    """

    def __init__(
        self,
        *,
        form: Format = Format.TEXT,
        quiet: bool = False,
        colour: bool = False,
        redactor: Redactor | None = None,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
    ) -> None:
        self.format = form
        self.quiet = quiet
        self.colour = colour
        self.redactor = redactor or Redactor()
        self._out = sys.stdout if stdout is None else stdout
        self._err = Unfailing(sys.stderr if stderr is None else stderr)

    def text(self, renderable: "RenderableType" = "") -> None:
        """Print a line, a table or anything Rich can show, in the text format only."""
        if self.format is Format.TEXT:
            self._print(renderable)

    def json(self, document: Any) -> None:
        """Print one JSON document and a newline, in the JSON format only."""
        if self.format is Format.JSON:
            import orjson

            options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
            self.raw(orjson.dumps(document, option=options).decode())

    def raw(self, text: str) -> None:
        """Print a text exactly as it is, in either format: CSV, SQL, JSON lines."""
        try:
            self._out.write(text)
            self._out.flush()
        except BrokenPipeError:
            self._silence()
        except OSError as error:
            self._silence()
            message = f"The result could not be written: {error.strerror}."
            raise Stop(message) from error

    def note(self, text: str) -> None:
        """Tell something that is no result, unless --quiet."""
        if not self.quiet:
            self._tell(text)

    def warn(self, text: str) -> None:
        """Tell what needs attention though the command goes on."""
        self._tell(f"warning: {text}", "yellow")

    def error(self, text: str) -> None:
        """Tell why the command ends."""
        self._tell(text, "red")

    def table(self, *columns: str, rows: Sequence[Sequence[object]], right: str = "") -> "Table":
        """Return a table to print; `right` names the columns of figures, separated by blanks."""
        from rich.box import SIMPLE_HEAD
        from rich.table import Table

        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
        for column in columns:
            justify = "right" if column in right.split() else "left"
            table.add_column(column, justify=justify, overflow="fold")  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*(self._safe("" if cell is None else str(cell)) for cell in row))
        return table

    @contextmanager
    def progress(self, label: str, total: int | None = None) -> Iterator["Steps"]:
        """Show a bar with rate and time left while the block runs; silent off a terminal."""
        if self.quiet or not self._err.isatty():
            yield Steps()
            return
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
        )

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[outlook]}"),
        )
        with Progress(*columns, console=self._console(self._err), transient=True) as bar:
            yield Steps(bar, bar.add_task(printable(label), total=total, rate="", outlook=""))

    def _print(self, renderable: "RenderableType") -> None:
        if isinstance(renderable, str):
            self.raw(f"{printable(self.redactor.text(renderable))}\n")
            return
        console = self._console(self._out)
        with console.capture() as captured:
            console.print(renderable, markup=False, highlight=False)
        lines = captured.get().splitlines()
        self.raw(self.redactor.text("".join(f"{line.rstrip()}\n" for line in lines)))

    def _tell(self, text: str, colour: str = "") -> None:
        text = printable(self.redactor.text(text))
        if colour and self.colour and self._err.isatty():
            console = self._console(self._err)
            console.print(text, style=colour, markup=False, highlight=False, soft_wrap=True)
        else:
            self._err.write(f"{text}\n")

    def _safe(self, text: str) -> Any:
        from rich.text import Text

        return Text(printable(self.redactor.text(text)))

    def _console(self, stream: TextIO | Unfailing) -> "Console":
        from rich.console import Console

        terminal = stream.isatty()
        return Console(
            file=stream,  # type: ignore[arg-type]  # Rich needs write, flush and isatty alone
            force_terminal=terminal,
            color_system="standard" if terminal and self.colour else None,
            no_color=not self.colour,
            width=None if terminal else UNLIMITED,
        )

    def _silence(self) -> None:
        """Let what is still to be printed vanish: whoever read it has gone."""
        with Path(os.devnull).open("w") as nowhere:
            os.dup2(nowhere.fileno(), self._out.fileno())


class Steps:
    """What a progress bar is told."""

    def __init__(self, bar: "Progress | None" = None, task: "TaskID | None" = None) -> None:
        self._bar = bar
        self._task = task

    @property
    def seen(self) -> bool:
        """Whether anybody looks at it."""
        return self._bar is not None

    def reach(self, done: int, total: int | None = None, outlook: str | None = None) -> None:
        """Say how much is done; of how much, and how long it takes, where that has changed."""
        if self._bar is None or self._task is None:
            return
        speed = self._bar.tasks[0].speed
        rate = f"{speed * 60:.0f}/min" if speed else ""
        before = str(self._bar.tasks[0].fields["outlook"])
        told = before if outlook is None else printable(outlook)
        self._bar.update(self._task, completed=done, total=total, rate=rate, outlook=told)
