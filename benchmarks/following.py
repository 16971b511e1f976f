"""How long it takes to find a thousand changes that a log tells of, in a process that runs."""

import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psycopg

from benchmarks.detection import CHANGED, Bench, timed
from benchmarks.measures import Measure
from benchmarks.workload import MAPPINGS, app_database
from meisa_cdc.sandbox import Account, SandboxOptions, SandboxServer
from meisa_cdc.settings import Settings, load_settings
from meisa_cdc.sync.overrides import baseline
from meisa_cdc.sync.passes import Passes
from meisa_cdc.wiring import Wiring

#: Whom a changed plan or a deleted post concerns has to be told as it was.
LOG = (
    "alter table subscriptions replica identity full",
    "alter table posts replica identity full",
    "create publication meisa_cdc for table users, plans, subscriptions, posts",
    "select pg_create_logical_replication_slot('meisa_cdc', 'pgoutput')",
)
#: How many times fewer users there are in what the growth is measured against.
FEWER = 10


def measure(folder: Path, users: int, *, repeats: int) -> list[Measure]:
    """Return the time to find 1,000 changes over COPY, and over that with a tenth of the users."""
    seconds, copied = _found(folder / "many", users, repeats)
    fewer, _ = _found(folder / "few", users // FEWER, repeats)
    return [
        Measure(name="detect-1k-log", goal=0.02, digits=3, value=seconds / copied),
        Measure(name="log-growth", goal=1.2, digits=2, value=seconds / fewer),
    ]


def _found(folder: Path, users: int, repeats: int) -> tuple[float, float]:
    """Return the median seconds of a look at the changes, and those of COPY."""
    folder.mkdir()
    account = Account(SandboxOptions(limits=()))
    with app_database(users) as url, SandboxServer(account) as server:
        settings = _settings(folder, url, server.base_url)
        bench = Bench(folder, url, {})
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            for statement in LOG:
                connection.execute(statement.encode())
        looks, copies = [], []
        with _passes(settings) as passes:
            baseline(passes, list(passes.mappings))
            bench.change(users)
            for _ in range(repeats + 1):
                copies.append(timed(bench.copy))
                looks.append(timed(partial(_look, passes, users)))
    # The first look is of a process that has to get warm.
    return statistics.median(looks[1:]), statistics.median(copies)


def _look(passes: Passes, users: int) -> None:
    with passes.look(passes.mappings, whole=False) as look:
        found = look.plan.summary.update
    if not 0 < found <= min(CHANGED, users):
        raise RuntimeError(f"{found} changes were found")


@contextmanager
def _passes(settings: Settings) -> Iterator[Passes]:
    wiring = Wiring.of(settings)
    with wiring.state_to_lead("bench") as state:
        yield wiring.passes(state, wiring.windows(state))


def _settings(folder: Path, url: str, base_url: str) -> Settings:
    (folder / "suppressed.db").touch()
    given = {
        "MEISA_API_KEY": "meisa_test_sandbox",
        "MEISA_BASE_URL": base_url,
        "MEISA_CDC_APP_DATABASE__URL": url.replace("+psycopg", ""),
        "MEISA_CDC_APP_DATABASE__STATEMENT_TIMEOUT": "30m",
        "MEISA_CDC_GUARD__FIRST_LOAD": "send",
        "MEISA_CDC_STATE__URL": f"sqlite:///{folder / 'state.db'}",
        "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{folder / 'suppressed.db'}",
        "MEISA_CDC_MAPPINGS_DIR": str(MAPPINGS),
    }
    return load_settings(environ=given, cwd=folder)
