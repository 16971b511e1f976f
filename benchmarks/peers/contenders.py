"""Us and the others: how each is told to do the job."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from sqlalchemy import URL

from benchmarks.workload import MAPPINGS

HERE = Path(__file__).parent
KEY = "meisa_test_benchmark"
#: Requests under way at once, where one can choose.
THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done."""

    #: The contender's own; empty before the first load.
    folder: Path
    database: URL
    #: The three mappings as one query, so that the others need one request a contact as well.
    query: str
    base_url: str

    @property
    def dsn(self) -> str:
        """Return the app database as drivers take it."""
        return self.database.set(drivername="postgresql").render_as_string(hide_password=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program to run in the job's folder, once for each pass."""

    arguments: Sequence[str]
    #: Environment variables.
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One way to do the job."""

    name: str
    #: What its own environment is made of; nothing: it runs in ours.
    packages: tuple[str, ...] = ()
    #: Writes what the program needs into the job's folder; also takes the environment's programs.
    prepare: Callable[[Job, Path], Command]


def _ours(job: Job, programs: Path) -> Command:
    shutil.copytree(MAPPINGS, job.folder / "mappings")
    (job.folder / "suppressed.db").touch()
    settings = {
        "MEISA_API_KEY": KEY,
        "MEISA_BASE_URL": job.base_url,
        "MEISA_CDC_APP_DATABASE__URL": job.database.render_as_string(hide_password=False),
        "MEISA_CDC_STATE__URL": f"sqlite:///{job.folder / 'state.db'}",
        "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{job.folder / 'suppressed.db'}",
        "MEISA_CDC_MAPPINGS_DIR": str(job.folder / "mappings"),
        "MEISA_CDC_GUARD__FIRST_LOAD": "send",
        "MEISA_CDC_MEISA__LIMITS": "1000000/1s",
        "MEISA_CDC_MEISA__CONCURRENCY": str(THREADS),
    }
    return Command(arguments=_module(programs, "meisa_cdc", "sync"), settings=settings)


def _module(programs: Path, *words: str) -> Sequence[str]:
    return [str(programs / "python"), "-m", *words]


def _program(job: Job, programs: Path, name: str) -> Command:
    query = job.folder / "query.sql"
    query.write_text(job.query)
    settings = {
        "DATABASE": job.dsn,
        "QUERY": str(query),
        "BASE_URL": job.base_url,
        "API_KEY": KEY,
        "THREADS": str(THREADS),
        "HOME": str(job.folder),
        "PYTHONPATH": str(HERE.parents[1]),
        # It calls home unless it is told not to.
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        # One file is one thread: so many that none idles.
        "DATA_WRITER__FILE_MAX_ITEMS": "1000",
        "DATA_WRITER__BUFFER_MAX_ITEMS": "1000",
    }
    module = f"benchmarks.peers.programs.{name}"
    return Command(arguments=_module(programs, module), settings=settings)


def _plain(job: Job, programs: Path) -> Command:
    return _program(job, programs, "plain")


def _dlt(job: Job, programs: Path) -> Command:
    return _program(job, programs, "through_dlt")


def _drt(job: Job, programs: Path, state: Mapping[str, object] | None = None) -> Command:
    """Write a project; its files are YAML, of which JSON is a part."""
    shutil.copytree(HERE / "drt", job.folder, dirs_exist_ok=True)
    project = {"name": "contacts", "version": "0.1", "profile": "app", "state": state or {}}
    (job.folder / "drt_project.yml").write_text(json.dumps(project))
    models = job.folder / "syncs/models"
    models.mkdir()
    (models / "contacts.sql").write_text(job.query)
    profile = {
        "type": "postgres",
        "host": job.database.host,
        "port": job.database.port,
        "dbname": job.database.database,
        "user": job.database.username,
        "password_env": "PASSWORD",
    }
    profiles = job.folder / ".drt/profiles.yml"
    profiles.parent.mkdir()
    profiles.write_text(json.dumps({"app": profile}))
    settings = {
        "BASE_URL": job.base_url,
        "API_KEY": KEY,
        "PASSWORD": job.database.password or "",
        "HOME": str(job.folder),
        "DO_NOT_TRACK": "1",
    }
    return Command(arguments=[str(programs / "drt"), "run"], settings=settings)


def _drt_with_ledger(job: Job, programs: Path) -> Command:
    with psycopg.connect(job.dsn, autocommit=True) as connection:
        connection.execute("drop schema if exists _drt cascade")
    state = {"backend": "warehouse", "connection_profile": "app", "idempotency": True}
    return _drt(job, programs, state)


OURS = Contender(name="meisa-cdc", prepare=_ours)
PEERS = (
    Contender(name="plain", prepare=_plain),
    Contender(name="drt", packages=("drt-core[postgres]",), prepare=_drt),
    Contender(name="drt-ledger", packages=("drt-core[postgres]",), prepare=_drt_with_ledger),
    Contender(name="dlt", packages=("dlt", "httpx", "psycopg[binary]"), prepare=_dlt),
)
