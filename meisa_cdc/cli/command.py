"""How a command is declared.

A command's module has one value the registry points at, a Command or a Group:

    @command("meisa-cdc plan", "meisa-cdc plan --limit 20 --format json")
    def plan(
        session: Session,
        *,
        limit: Annotated[int | None, typer.Option(help="Show at most so many changes.")] = None,
    ) -> int:
        '''Show what the next run would do, and send nothing.'''

The first sentence of the docstring stands in the list of commands as well; what the function
returns is the exit code, None means 0. `session` comes first; --config, --env-file, --verbose,
--quiet and, where it prints results, --format are added here, so the function never lists them.
What is slow to import is imported inside the function: `meisa-cdc plan --help` loads this module.

Errors are raised, not printed: a Stop shows its message and hint and ends with 1. A choice of
exit code is a return value. `typer.BadParameter` is a usage error and ends with 64.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer
from typer.main import get_command

from meisa_cdc.cli.output import Format
from meisa_cdc.cli.session import Session

Config = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="Settings file, instead of meisa-cdc.toml in this folder."
    ),
]
EnvFile = Annotated[
    Path | None,
    typer.Option("--env-file", metavar="FILE", help="Also take environment variables from a file."),
]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Tell every step; show details of errors.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Tell nothing but results and errors.")]
ResultFormat = Annotated[
    Format | None, typer.Option("--format", help="How results are printed.  [default: text]")
]

#: Name, type and default of the options every command has.
EVERYWHERE: dict[str, tuple[Any, Any]] = {
    "config": (Config, None),
    "env_file": (EnvFile, None),
    "verbose": (Verbose, False),
    "quiet": (Quiet, False),
}
RESULTS: dict[str, tuple[Any, Any]] = {"form": (ResultFormat, None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command as it was declared."""

    #: Takes the command's options by name, and typer's context.
    call: Callable[..., int | None]
    #: Command lines that show how it is used.
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Commands under one name, such as `quarantine list`."""

    #: What the name alone does.
    default: Command
    #: The rest, by their second name.
    commands: Mapping[str, Command] = field(default_factory=dict)


def command(*examples: str, results: bool = True) -> Callable[[Callable[..., int | None]], Command]:
    """Declare a function as a command; `results` False: it prints none, so has no --format."""
    shared = {**RESULTS, **EVERYWHERE} if results else EVERYWHERE

    def declare(function: Callable[..., int | None]) -> Command:
        @wraps(function)
        def call(context: typer.Context, **options: Any) -> int | None:
            session = enter(context, **{name: options.pop(name) for name in shared})
            if context.invoked_subcommand is not None:
                return None
            return function(session, **options)

        _sign(call, function, shared)
        return Command(call=call, examples=examples)

    return declare


def _sign(
    call: Callable[..., int | None],
    function: Callable[..., int | None],
    shared: Mapping[str, tuple[Any, Any]],
) -> None:
    """Give the wrapper the signature typer is to read."""
    hints = get_type_hints(function, include_extras=True)
    _, *own = inspect.signature(function).parameters.values()
    parameters = [_parameter("context", typer.Context)]
    parameters += [_parameter(each.name, hints[each.name], each.default) for each in own]
    parameters += [_parameter(name, kind, default) for name, (kind, default) in shared.items()]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {each.name: each.annotation for each in parameters}


def _parameter(
    name: str, annotation: object, default: object = inspect.Parameter.empty
) -> inspect.Parameter:
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, kind, default=default, annotation=annotation)


def enter(
    context: typer.Context,
    *,
    config: Path | None = None,
    env_file: Path | None = None,
    verbose: bool = False,
    quiet: bool = False,
    form: Format | None = None,
) -> Session:
    """Return the call's session with these options laid over what it had."""
    session = context.ensure_object(Session)
    session.config = config or session.config
    session.env_file = env_file or session.env_file
    session.verbose = verbose or session.verbose
    session.output.quiet = quiet or session.output.quiet
    session.output.format = form or session.output.format
    if session.verbose and session.output.quiet:
        message = "--verbose and --quiet exclude each other."
        raise typer.BadParameter(message)
    return session


def built(name: str, declared: Command | Group) -> Any:
    """Return what typer runs for a declared command, a TyperCommand or a TyperGroup."""
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    if isinstance(declared, Command):
        app.command(name, epilog=_examples(declared))(declared.call)
    else:
        default = declared.default
        app.callback(invoke_without_command=True, epilog=_examples(default))(default.call)
        for second, each in declared.commands.items():
            app.command(second, epilog=_examples(each))(each.call)
    made = get_command(app)
    made.name = name
    return made


def _examples(declared: Command) -> str:
    # The mark keeps the lines as they are.
    lines = "\n".join(f"  {example}" for example in declared.examples)
    return f"\b\nExamples:\n{lines}"
