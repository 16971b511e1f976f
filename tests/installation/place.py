"""A folder with an app database, mappings and settings, beside a sandbox over HTTP."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from meisa_cdc.sandbox import DEFAULT_API_KEY, Account, SandboxOptions, SandboxServer
from meisa_cdc.settings import Settings, load_settings
from meisa_cdc.state import SqlState, open_state
from meisa_cdc.wiring import SystemClock
from tests.description import watched
from tests.installation.program import Program

IDENTITY = "-- Who someone is.\nselect id as external_id, email, first_name from users\n"
PLAN = "-- What someone pays for.\nselect id as external_id, plan from users\n"


@dataclass(frozen=True, slots=True)
class Person:
    """One user of the app, as Meisa should have them."""

    email: str
    first_name: str = "Ada"
    plan: str = "free"


def people(count: int, **as_all: Any) -> dict[str, Person]:
    """Return that many users by key."""
    return {f"u{n:04}": Person(f"u{n:04}@example.com", **as_all) for n in range(count)}


@dataclass(kw_only=True)
class Installation:
    """Everything of one user of the program; `settings` are environment variables."""

    folder: Path
    server: SandboxServer
    environ: dict[str, str] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def at(
        cls, folder: Path, options: SandboxOptions | None = None, **settings: str
    ) -> Iterator["Installation"]:
        """Set one up, with an empty app database and a sandbox that lasts as long as the block."""
        with watched(options or SandboxOptions(limits=())) as server:
            installation = cls(folder=folder, server=server)
            installation.environ = {
                "MEISA_API_KEY": DEFAULT_API_KEY,
                "MEISA_BASE_URL": server.base_url,
                "MEISA_CDC_APP_DATABASE__URL": f"sqlite:///{installation.app}",
                "MEISA_CDC_GUARD__FIRST_LOAD": "send",
                "MEISA_CDC_MEISA__LIMITS": "1000/1s",
                "MEISA_CDC_MEISA__RESERVE": "0%",
                "MEISA_CDC_LOG__FORMAT": "json",
                "MEISA_CDC_WEB__BIND": "127.0.0.1:0",
                **settings,
            }
            installation.map(identity=IDENTITY, plan=PLAN)
            installation.app_has({})
            yield installation

    @property
    def account(self) -> Account:
        """The sandbox's side."""
        return self.server.account

    @property
    def app(self) -> Path:
        """The file of the app database."""
        return self.folder / "app.db"

    def map(self, **files: str) -> None:
        """Write mapping files, each as a whole."""
        contacts = self.folder / "mappings" / "contacts"
        contacts.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            fresh = contacts / f".{name}.new"
            fresh.write_text(text)
            fresh.replace(contacts / f"{name}.sql")

    def app_has(self, users: Mapping[str, Person]) -> None:
        """Make these the users of the app, all of them."""
        with closing(sqlite3.connect(self.app)) as connection, connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(
                "create table if not exists users"
                " (id text primary key, email text, first_name text, plan text)"
            )
            connection.execute("delete from users")
            connection.executemany(
                "insert into users values (?, ?, ?, ?)",
                [(key, p.email, p.first_name, p.plan) for key, p in users.items()],
            )

    def app_users(self) -> dict[str, Person]:
        """Return the users of the app."""
        with closing(sqlite3.connect(self.app)) as connection:
            rows = connection.execute("select id, email, first_name, plan from users")
            return {key: Person(*values) for key, *values in rows}

    def meisa_has(self) -> dict[str, Person]:
        """Return the contacts of the sandbox in the same shape."""
        return {
            str(c["external_id"]): Person(
                str(c["email"]), str(c["first_name"]), _custom(c).get("plan", "")
            )
            for c in self.account.contacts()
        }

    def in_step(self) -> bool:
        """Tell whether Meisa equals the source."""
        return self.meisa_has() == self.app_users()

    def settings(self, **more: str) -> Settings:
        """Return the settings, with these laid over them."""
        return load_settings(environ={**self.environ, **more}, cwd=self.folder)

    @contextmanager
    def state(self) -> Iterator[SqlState]:
        """Open the state for reading."""
        url = self.settings().state.url.reveal()
        with open_state(url, clock=SystemClock(), read_only=True) as state:
            yield state

    def doubted(self) -> set[str]:
        """Return the keys of contacts with fields in doubt."""
        with self.state() as state:
            found = [state.load(keys) for keys in state.pending()]
        return {key for batch in found for key, contact in batch.items() if contact.in_doubt}

    @contextmanager
    def program(self, *arguments: str, **more: str) -> Iterator[Program]:
        """Run the program with these arguments and settings; what still runs then is killed."""
        with Program(arguments, folder=self.folder, settings={**self.environ, **more}) as program:
            yield program

    def quarantined(self) -> dict[str, tuple[str, str]]:
        """Return (code, message) of each contact in quarantine."""
        with self.state() as state:
            found = [contact for batch in state.quarantined() for contact in batch]
        return {
            c.external_id: (c.quarantine.code, c.quarantine.message) for c in found if c.quarantine
        }

    def sync(self, *arguments: str, code: int = 0, **more: str) -> dict[str, Any]:
        """Run `sync`, which must end with that code, and return its JSON document."""
        with self.program("sync", "--format", "json", *arguments, **more) as program:
            assert program.ended(within=60) == code, program.told()
            document: dict[str, Any] = json.loads(program.output() or "{}")
        return document


def _custom(contact: Mapping[str, object]) -> dict[str, Any]:
    custom = contact["custom_fields"]
    return dict(custom) if isinstance(custom, dict) else {}
