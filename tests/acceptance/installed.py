"""The program as its users have it: from the wheel, in an environment and a folder of its own."""

import json
import os
import sqlite3
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from meisa_cdc.sandbox import Account, ApiKey, RequestRecord, SandboxOptions, SandboxServer
from tests.acceptance import documented
from tests.description import watched

ROOT = Path(__file__).parents[2]
#: Nothing that the program prints or writes may contain it.
API_KEY = "meisa_test_c4n4ry_k3y"
UPSERT = "/contacts/upsert/"
#: Seconds that one command may take before a test fails: far more than it needs.
PATIENCE = 120.0

IDENTITY = "-- Who someone is.\nselect id as external_id, email, first_name from users\n"
PLAN = (
    "-- What someone pays for.\n"
    "{{ config(priority='urgent') }}\n"
    "select id as external_id, plan from users where plan is not null\n"
)


class User(NamedTuple):
    """One row of the small app database."""

    email: str | None
    first_name: str = "Ada"
    plan: str | None = "free"


def users(count: int, plan: str | None = "free") -> dict[str, User]:
    """Return that many users by key."""
    return {f"u{n:03}": User(f"u{n:03}@example.com", plan=plan) for n in range(count)}


#: Has the installed program counted by the coverage of the tests that start it, if they are.
MEASURE = "import coverage; coverage.process_startup()"
MEASURED_BY = ("COVERAGE_PROCESS_CONFIG", "COVERAGE_PROCESS_START")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """The wheel, installed; nothing of the checkout is on its path."""

    #: Of the environment with the wheel in it.
    python: Path
    #: The console script.
    script: Path

    @classmethod
    def installed(cls, wheel: Path, folder: Path) -> "Program":
        """Install the wheel alone into a new environment, where it finds its dependencies here.

        A folder that a .pth file names has its own .pth files left unread, that of an editable
        install among them.
        """
        _done([sys.executable, "-m", "venv", "--without-pip", folder])
        python = folder / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        _done([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel])
        packages = _done([python, "-c", "import site; print(site.getsitepackages()[0])"]).strip()
        here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        lines = [*sorted(here), MEASURE]
        (Path(packages) / "dependencies.pth").write_text("\n".join(lines) + "\n")
        return cls(python=python, script=folder / "bin" / "meisa-cdc")


def built_wheel(folder: Path) -> Path:
    """Build the wheel of the checkout into a folder and return its path."""
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT]
    _done(build)
    (wheel,) = folder.glob("*.whl")
    return wheel


def _done(command: list[Any]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd="/", timeout=PATIENCE
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        """Everything it printed."""
        return self.out + self.err

    def document(self) -> Any:
        """Return the one JSON document that is all of its stdout."""
        return json.loads(self.out)


@dataclass(kw_only=True)
class Desk:
    """A user's folder, with the settings of their shell; `meisa` is the sandbox they talk to."""

    program: Program
    folder: Path
    meisa: SandboxServer
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, folder: Path, program: Program, meisa: SandboxServer) -> "Desk":
        """Make the folder of a user whose settings name the sandbox and nothing else."""
        folder.mkdir()
        desk = cls(program=program, folder=folder, meisa=meisa, settings=settings_for(meisa))
        desk.scratch.mkdir()
        return desk

    def move_in(self) -> None:
        """Set up the small app: a database of three users, and two mappings for it."""
        self.settings["MEISA_CDC_APP_DATABASE__URL"] = f"sqlite:///{self.app}"
        self.map(identity=IDENTITY, plan=PLAN)
        self.app_has(users(3))

    @property
    def account(self) -> Account:
        """The sandbox's side."""
        return self.meisa.account

    @property
    def scratch(self) -> Path:
        """The folder for temporary files."""
        return self.folder.with_name(f"{self.folder.name}-tmp")

    @property
    def app(self) -> Path:
        """The file of the small app database."""
        return self.folder / "app.db"

    @property
    def state(self) -> Path:
        """The file of the state."""
        return self.folder / "meisa-cdc.db"

    def environ(self, settings: Mapping[str, str | None]) -> dict[str, str]:
        """Return a bare environment with the settings; None takes one away."""
        bare = {
            **{name: os.environ[name] for name in MEASURED_BY if name in os.environ},
            "PATH": os.pathsep.join([str(self.program.script.parent), os.defpath]),
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "TMPDIR": str(self.scratch),
        }
        merged = {**bare, **self.settings, **settings}
        return {name: value for name, value in merged.items() if value is not None}

    @contextmanager
    def started(self, *arguments: str, **settings: str | None) -> Iterator["subprocess.Popen[str]"]:
        """Start a command; one that still runs after the block is killed."""
        with subprocess.Popen(
            [self.program.script, *arguments],
            cwd=self.folder,
            env=self.environ(settings),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.kill()

    def run(self, *arguments: str, code: int | None = 0, **settings: str | None) -> Ended:
        """Run a command that must end with that code; None takes any.

        No command ever shows a traceback, or the key.
        """
        with self.started(*arguments, **settings) as process:
            out, err = process.communicate(timeout=PATIENCE)
        ended = Ended(code=process.returncode, out=out, err=err)
        assert code is None or ended.code == code, (arguments, ended)
        assert "Traceback" not in ended.told
        assert API_KEY not in ended.told
        return ended

    def json(self, *arguments: str, code: int | None = 0, **settings: str | None) -> Any:
        """Run a command for its JSON document, which has to have the documented keys."""
        document = self.run(*arguments, "--format", "json", code=code, **settings).document()
        documented.check(arguments, document)
        return document

    def map(self, **files: str) -> None:
        """Write mapping files of contacts."""
        contacts = self.folder / "mappings" / "contacts"
        contacts.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (contacts / f"{name}.sql").write_text(text, encoding="utf-8")

    def app_has(self, rows: Mapping[str, User]) -> None:
        """Make these the users of the small app database, all of them."""
        with closing(sqlite3.connect(self.app)) as connection, connection:
            connection.execute(
                "create table if not exists users"
                " (id text primary key, email text, first_name text, plan text)"
            )
            connection.execute("delete from users")
            connection.executemany(
                "insert into users values (?, ?, ?, ?)", [(key, *row) for key, row in rows.items()]
            )

    def sent(self, since: int = 0) -> list[RequestRecord]:
        """Return the upserts the sandbox got after the request with that number."""
        return [each for each in self.account.requests(since) if each.path.endswith(UPSERT)]

    def heard(self) -> int:
        """Return the number of the last request that the sandbox got."""
        return self.account.overview().requests


def payload(record: RequestRecord) -> dict[str, Any]:
    """Return an upsert's body."""
    assert isinstance(record.payload, dict)
    return record.payload


@contextmanager
def sandbox(**options: Any) -> Iterator[SandboxServer]:
    """Run a sandbox that accepts our key and has no limits."""
    chosen = {"keys": (ApiKey(secret=API_KEY),), "limits": (), **options}
    with watched(SandboxOptions(**chosen)) as server:
        yield server


def settings_for(meisa: SandboxServer) -> dict[str, str]:
    """Return the environment variables that point the program at a sandbox, unhurried."""
    return {
        "MEISA_API_KEY": API_KEY,
        "MEISA_BASE_URL": meisa.base_url,
        "MEISA_CDC_MEISA__LIMITS": "1000/1s",
        "MEISA_CDC_MEISA__RESERVE": "0%",
    }
