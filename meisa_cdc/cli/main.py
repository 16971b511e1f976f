"""The program: runs a command and turns what came of it into an exit code."""

import gc
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command

from meisa_cdc import __version__
from meisa_cdc.cli.command import Config, EnvFile, Quiet, Verbose, enter
from meisa_cdc.cli.output import Output
from meisa_cdc.cli.registry import Commands
from meisa_cdc.cli.session import Session
from meisa_cdc.core.errors import MeisaCdcError

FAILED = 1
USAGE = 64
INTERRUPTED = 130

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    rich_markup_mode=None,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with: meisa-cdc init --help",
)


@app.callback()
def meisa_cdc(
    context: typer.Context,
    *,
    config: Config = None,
    env_file: EnvFile = None,
    verbose: Verbose = False,
    quiet: Quiet = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    """Keep Meisa in step with an application's own database, within its request limits."""
    enter(context, config=config, env_file=env_file, verbose=verbose, quiet=quiet)
    if version:
        typer.echo(f"meisa-cdc {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(USAGE)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; errors are told, never raised."""
    # What is read and compared has no cycles: to look for them often costs a tenth of the time.
    gc.set_threshold(200_000)
    _prepare_streams()
    session = Session(output=Output(colour=_colour_is_welcome()))
    try:
        code = _run(arguments, session)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except MeisaCdcError as error:
        session.output.error("\n".join(part for part in (error.message, error.hint) if part))
        code = FAILED
    except Exception as error:  # noqa: BLE001 - the last place where anything can be told
        _apologise(session, error)
        code = FAILED
    if code == INTERRUPTED:
        session.output.error("Interrupted.")
    _leave_streams()
    return code


def _run(arguments: Sequence[str] | None, session: Session) -> int:
    try:
        code = get_command(app).main(
            arguments, prog_name="meisa-cdc", standalone_mode=False, obj=session
        )
    except typer.TyperException as error:
        session.output.error(_usage(error))
        return USAGE
    except SystemExit as error:
        # typer ends like this when the reader of a help page has gone.
        return error.code if isinstance(error.code, int) else FAILED
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    if context is None:
        return error.format_message()
    usage, path = context.get_usage(), context.command_path
    return f"{error.format_message()}\n{usage}\nSee {path} --help."


def _apologise(session: Session, error: Exception) -> None:
    output = session.output
    if session.verbose:
        output.error("".join(traceback.format_exception(error)).rstrip())
    what = " ".join(f"{type(error).__name__}: {error}".split())
    output.error(f"Sorry, this is a fault in meisa-cdc itself: {what}")
    if not session.verbose:
        output.error("Run the command again with --verbose for the details a report needs.")


def _colour_is_welcome() -> bool:
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _prepare_streams() -> None:
    """Make the standard streams usable, closed or with a narrow encoding as they may be.

    A database file must not get the number of a closed stderr: whatever is printed there later
    would be written into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            mode = "r" if number == 0 else "w"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 - stays open
    if isinstance(sys.stdout, io.TextIOWrapper):
        encoding = sys.stdout.encoding if sys.stdout.isatty() else "utf-8"
        sys.stdout.reconfigure(encoding=encoding, errors="backslashreplace")


def _leave_streams() -> None:
    """Drop what cannot be written any more; Python would make an exit code of its own of it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
                os.dup2(nowhere.fileno(), stream.fileno())
