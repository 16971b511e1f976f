"""The commands by name; a command's module is imported when it runs, not to list it."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from typer.core import TyperCommand, TyperGroup

from meisa_cdc.cli.command import Command, Group, built


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A command that exists."""

    #: `module:name` of its Command or Group.
    target: str
    #: What it does, in a line: the first sentence of its docstring.
    summary: str

    def load(self) -> Command | Group:
        """Import and return what was declared."""
        module, _, name = self.target.partition(":")
        declared: Command | Group = getattr(import_module(module), name)
        return declared


#: In the order in which a user meets them.
COMMANDS: Mapping[str, Entry] = {
    "init": Entry(
        target="meisa_cdc.cli.init:init",
        summary="Write settings and first mappings into a folder.",
    ),
    "check": Entry(
        target="meisa_cdc.cli.check:check",
        summary="Check settings, connections, mappings and the API key, a line each.",
    ),
    "compile": Entry(
        target="meisa_cdc.cli.compile:compile_",
        summary="Print the SQL that a mapping renders to: in full, for some contacts, and to add "
        "up.",
    ),
    "capture": Entry(
        target="meisa_cdc.cli.capture:capture",
        summary="Show the app database's log of changed rows, and which mappings it tells of.",
    ),
    "plan": Entry(
        target="meisa_cdc.cli.plan:plan",
        summary="Show what the next run would send, and send nothing.",
    ),
    "sync": Entry(
        target="meisa_cdc.cli.sync:sync",
        summary="Pull suppressions, look at the app database, and deliver what changed.",
    ),
    "approve": Entry(
        target="meisa_cdc.cli.approve:approve",
        summary="Release the changes of a hold on record that are still observed.",
    ),
    "run": Entry(
        target="meisa_cdc.cli.run:run",
        summary="Keep Meisa in step: schedules, delivery, suppression list, health.",
    ),
    "suppressions": Entry(
        target="meisa_cdc.cli.suppressions:suppressions",
        summary="Pull the suppression list from Meisa into the table now.",
    ),
    "status": Entry(
        target="meisa_cdc.cli.status:status",
        summary="Show the backlog, what is late and why, the budget, and what is held.",
    ),
    "show": Entry(
        target="meisa_cdc.cli.show:show",
        summary="Show what Meisa holds of a contact, what is pending, and what was sent.",
    ),
    "quarantine": Entry(
        target="meisa_cdc.cli.quarantine:quarantine",
        summary="List the contacts that Meisa rejected, each with its reason.",
    ),
    "events": Entry(
        target="meisa_cdc.cli.events:events",
        summary="List events, e-mails and enrolments that wait, were rejected or are parked.",
    ),
    "baseline": Entry(
        target="meisa_cdc.cli.baseline:baseline",
        summary="Take what the mappings yield now as already sent, and send nothing.",
    ),
    "resync": Entry(
        target="meisa_cdc.cli.resync:resync",
        summary="Mark fields as in doubt, so that they are sent again in the background.",
    ),
    "history": Entry(
        target="meisa_cdc.cli.history:history",
        summary="Show the newest runs and deliveries.",
    ),
    "migrate": Entry(
        target="meisa_cdc.cli.migrate:migrate",
        summary="Bring the schema of our own state up to date; every start does the same.",
    ),
    "sandbox": Entry(
        target="meisa_cdc.cli.sandbox:sandbox",
        summary="Run a local stand-in for Meisa, to try things out on.",
    ),
    "demo": Entry(
        target="meisa_cdc.cli.demo:demo",
        summary="Take the tour: an app database, the sandbox, and the whole job.",
    ),
}


class Commands(TyperGroup):
    """The program's commands, listed from the registry and loaded one at a time."""

    def __init__(self, **attributes: Any) -> None:
        listed = {
            name: TyperCommand(name, help=entry.summary, rich_markup_mode=None)
            for name, entry in COMMANDS.items()
        }
        super().__init__(**{**attributes, "commands": listed})

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list with whole sentences; typer's own cuts them at the line's end."""
        rows = [(name, self.commands[name].help or "") for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is meant, loaded, with the words left for it."""
        name, _, rest = super().resolve_command(ctx, args)
        entry = COMMANDS.get(name or "")
        return name, built(name or "", entry.load()) if entry is not None else None, rest
