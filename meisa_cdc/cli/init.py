"""`meisa-cdc init`: settings and first mappings in a folder."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated

import typer

from meisa_cdc.cli.command import command
from meisa_cdc.cli.session import Session
from meisa_cdc.core.errors import Stop

if TYPE_CHECKING:
    from meisa_cdc.settings import DatabaseUrl, Settings

SETTINGS_FILE = "meisa-cdc.toml"
MAPPINGS = "mappings"
#: How the tables begin that we make in the app database.
OURS = "meisa_suppress"
URL_LINE = re.compile(r'^#url = "postgresql://reader:.*$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """What is to be written."""

    #: Path in the folder -> text.
    files: Mapping[str, str]
    #: What the user should know of the proposal.
    remarks: Sequence[str] = ()
    #: The app database's address still has to be set.
    needs_url: bool = True
    #: Files that are there already and stay as they are.
    kept: Sequence[str] = field(default_factory=tuple)


@command(
    "meisa-cdc init",
    "meisa-cdc init crm-sync",
    "meisa-cdc init --from-database --url sqlite:///app.db",
)
def init(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder to write into; made where needed.")
    ] = Path(),
    *,
    from_database: Annotated[
        bool,
        typer.Option("--from-database", help="Propose mappings from the app database's tables."),
    ] = False,
    url: Annotated[
        str,
        typer.Option(metavar="URL", help="The app database, unless a setting names it already."),
    ] = "",
    force: Annotated[
        bool, typer.Option("--force", help="Replace files that are there already.")
    ] = False,
) -> None:
    """Write settings and first mappings into a folder.

    With --from-database the mappings are proposed from the tables found: who the contacts are,
    what they pay for, how often and when they did something. Only names and types are read, and
    no column that looks like a secret is proposed. A settings file that is there is kept.
    """
    if url and not from_database:
        message = "--url goes with --from-database."
        raise typer.BadParameter(message)
    starter = _proposed(session, folder, url) if from_database else _example()
    present = [name for name in starter.files if os.path.lexists(folder / name)]
    if present and not force:
        listed = "\n".join(f"  {folder / name}" for name in present)
        raise Stop(
            f"Nothing was written, since these files exist:\n{listed}",
            hint="Name another folder, or replace them with --force.",
        )
    for name, text in starter.files.items():
        _write(folder / name, text)
    _tell(session, folder, starter)


def _example() -> Starter:
    return Starter(
        files={
            SETTINGS_FILE: _text(SETTINGS_FILE),
            f"{MAPPINGS}/contacts/identity.sql": _text("identity.sql"),
        }
    )


def _text(name: str) -> str:
    return (files("meisa_cdc.cli") / "starter" / name).read_text(encoding="utf-8")


def _proposed(session: Session, folder: Path, url: str) -> Starter:
    from meisa_cdc.cli.proposals import propose, tables_of
    from meisa_cdc.source.database import AppDatabase

    there = folder / SETTINGS_FILE
    address, settings = _address(session, there, url)
    database = AppDatabase(address.reveal())
    tables = [each for each in tables_of(database.tables()) if not each.name.startswith(OURS)]
    quoting = database.url.get_dialect()().identifier_preparer.quote
    proposal = propose(tables, dialect=address.dialect, quote=quoting)
    if proposal is None:
        raise Stop(
            f"None of the {len(tables)} tables in {address} looks like the app's users: it would "
            "have an e-mail column and a primary key of one column.",
            hint="Write the mappings by hand; meisa-cdc init gives an example.",
        )
    mappings = settings.mappings_dir if settings is not None else folder / MAPPINGS
    written = {os.path.relpath(mappings / path, folder): text for path, text in proposal.files}
    remarks = [f"Contacts are the rows of {proposal.people.name}."]
    if proposal.others:
        remarks.append(f"They might be in {', '.join(proposal.others)} instead.")
    if proposal.left_out:
        remarks.append(f"Not proposed, though they point at contacts: {_few(proposal.left_out)}.")
    if there.exists():
        return Starter(files=written, remarks=remarks, needs_url=bool(url), kept=[SETTINGS_FILE])
    text, complete = _settings_for(address)
    return Starter(
        files={SETTINGS_FILE: text, **written},
        remarks=remarks,
        needs_url=bool(url) and not complete,
    )


def _address(session: Session, there: Path, url: str) -> tuple["DatabaseUrl", "Settings | None"]:
    """Return the app database and, where there are any, the settings of the folder."""
    from meisa_cdc.settings import DatabaseUrl

    if there.exists() and session.config is None:
        session.config = there.absolute()
    settings = session.settings() if there.exists() or not url else None
    if settings is not None and not url:
        return settings.require_app_database(), settings if there.exists() else None
    try:
        address = DatabaseUrl.parse(url, Path.cwd())
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from None
    session.output.redactor.add(*address.secrets())
    return address, settings


def _few(names: Sequence[str], most: int = 8) -> str:
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def _settings_for(address: "DatabaseUrl") -> tuple[str, bool]:
    """Return the settings file, and whether it has the address: not where that is secret."""
    text = _text(SETTINGS_FILE)
    if address.secrets() or address.reveal().partition("?")[2]:
        return text, False
    line = f"url = {json.dumps(str(address), ensure_ascii=False)}"
    return URL_LINE.sub(lambda _: line, text, count=1), True


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # A new file, so that neither a link nor another's rights decide who can read it.
        path.unlink(missing_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        message = f"{path} could not be written: {error.strerror}."
        raise Stop(message) from error


def _tell(session: Session, folder: Path, starter: Starter) -> None:
    output = session.output
    output.json(
        {
            "folder": str(folder),
            "written": list(starter.files),
            "kept": list(starter.kept),
            "remarks": list(starter.remarks),
        }
    )
    for name in starter.files:
        output.text(f"wrote {folder / name}")
    for name in starter.kept:
        output.text(f"kept  {folder / name}")
    for remark in starter.remarks:
        output.text(remark)
    output.text("\nNext:")
    for place, step in enumerate(_next_steps(folder, starter), start=1):
        output.text(f"  {place}. {step}")


def _next_steps(folder: Path, starter: Starter) -> list[str]:
    steps = ["Read the mappings, and remove what no automation needs."]
    if folder != Path():
        steps.append(f"cd {quote(str(folder))}")
    if starter.needs_url:
        steps.append("Set MEISA_CDC_APP_DATABASE__URL; use a role that may only SELECT.")
    steps.append("Set MEISA_API_KEY (or try things out with: meisa-cdc sandbox).")
    steps.append("meisa-cdc check")
    steps.append("meisa-cdc plan    shows what would be sent, and sends nothing")
    return steps
