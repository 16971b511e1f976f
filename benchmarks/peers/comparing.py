"""Everybody makes the same passes over the same contacts, one contender after the other."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
from sqlalchemy import URL, make_url

from benchmarks.commands import run_program
from benchmarks.measures import Measure
from benchmarks.peers.contenders import OURS, PEERS, Command, Contender, Job
from benchmarks.peers.environments import UnavailableError, programs_of, versions
from benchmarks.peers.sink import Sink, new_sink
from benchmarks.workload import MAPPINGS, app_database
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.templates import load_mappings

#: Nothing is known yet; nothing has changed; one contact in a hundred has another plan; and has
#: the one from before again.
PASSES = FIRST, IDLE, CHANGED, BACK = "first", "idle", "changed", "back"
CHANGES = {
    CHANGED: "update subscriptions set plan_id = plan_id % 3 + 1 where user_id % 100 = 0",
    BACK: "update subscriptions set plan_id = (plan_id + 1) % 3 + 1 where user_id % 100 = 0",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One run of a contender, and what the server holds after it."""

    seconds: float
    requests: int
    contacts: int
    #: Of all contacts; the same for the same values.
    digest: str


Passes: TypeAlias = Mapping[str, Pass]


def measure(folder: Path, contacts: int, *, repeats: int) -> tuple[list[Measure], dict[str, Any]]:
    """Return ratios to our times, medians of `repeats`, and what was seen of each contender.

    Who cannot be had or does not bring the contacts is named and left out.
    """
    seen: dict[str, list[Passes]] = {}
    absent: dict[str, str] = {}
    with app_database(contacts) as url:
        rounds = Rounds(folder, url)
        for turn in range(repeats):
            ours = rounds.ours(turn)
            seen.setdefault(OURS.name, []).append(ours)
            for peer in PEERS:
                if peer.name in absent:
                    continue
                try:
                    seen.setdefault(peer.name, []).append(rounds.beside(peer, ours, turn))
                except UnavailableError as error:
                    absent[peer.name] = str(error)
                    seen.pop(peer.name, None)
                    print(f"peer-{peer.name} is left out: {error}", flush=True)
    measures = [each for peer in PEERS if peer.name in seen for each in _ratios(peer.name, seen)]
    return measures, {
        "contacts": contacts,
        "versions": dict(versions()),
        "left_out": absent,
        "runs": {
            name: [{each: asdict(passes[each]) for each in passes} for passes in runs]
            for name, runs in seen.items()
        },
    }


class Rounds:
    """The app database, and who is run on it."""

    def __init__(self, folder: Path, url: str) -> None:
        self._folder = folder
        self._database = make_url(url)
        self._query = joined(url)

    def ours(self, turn: int) -> Passes:
        """Return our own passes; what went there and back has to be as it was."""
        passes = self._passes(OURS, turn)
        if wrong(passes, passes):
            message = f"we are wrong ourselves: {passes}"
            raise RuntimeError(message)
        return passes

    def beside(self, peer: Contender, ours: Passes, turn: int) -> Passes:
        """Return the passes of another; its first load has to bring what ours brought."""
        passes = self._passes(peer, turn)
        if FIRST in wrong(passes, ours):
            counts = f"{passes[FIRST].contacts} contacts, ours are {ours[FIRST].contacts}"
            message = f"its first load brought something else: {counts}"
            raise UnavailableError(message)
        return passes

    def _passes(self, contender: Contender, turn: int) -> Passes:
        programs = programs_of(contender.name, contender.packages)
        folder = self._folder / f"{turn}-{contender.name}"
        folder.mkdir()
        with new_sink() as sink, self._app_as_it_was():
            job = Job(
                folder=folder,
                database=self._database,
                query=self._query,
                base_url=sink.base_url,
            )
            command = contender.prepare(job, programs)
            passes: dict[str, Pass] = {}
            for name in PASSES:
                if name in CHANGES:
                    execute(self._database, CHANGES[name])
                passes[name] = _pass(command, folder, sink)
                print(f"{contender.name}, {name}: {_line(passes[name])}", flush=True)
        return passes

    @contextmanager
    def _app_as_it_was(self) -> Iterator[None]:
        """Undo the changes where a contender got no further."""
        execute(self._database, "create table if not exists was as table subscriptions")
        try:
            yield
        finally:
            execute(
                self._database,
                "update subscriptions s set plan_id = w.plan_id from was w "
                "where w.user_id = s.user_id and w.plan_id <> s.plan_id",
            )


def joined(url: str) -> str:
    """Return the queries of the mappings as one, a row a contact."""
    mappings = load_mappings(MAPPINGS, variables={}, dialect="postgresql")
    source = AppDatabase(url)
    parts = [f"({source.compiled(each).full}\n) m{n}" for n, each in enumerate(mappings)]
    rest = "".join(f" full join {part} using (external_id)" for part in parts[1:])
    return f"select * from {parts[0]}{rest}"


def execute(database: URL, statement: str) -> None:
    """Change the app database."""
    plain = database.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(statement.encode())


def wrong(passes: Passes, right: Passes) -> list[str]:
    """Return after which passes the server did not hold what it should."""
    expected = {name: right[name].digest for name in PASSES}
    expected[IDLE] = expected[BACK] = expected[FIRST]
    return [name for name in PASSES if passes[name].digest != expected[name]]


def _pass(command: Command, folder: Path, sink: Sink) -> Pass:
    before = sink.taken().requests
    out = folder / "out.txt"
    ran = run_program(command.arguments, folder=folder, settings=command.settings, out=out)
    if ran.code:
        message = f"it ended with {ran.code}: {out.read_text()[-1000:]}"
        raise UnavailableError(message)
    taken = sink.taken()
    return Pass(
        seconds=ran.seconds,
        requests=taken.requests - before,
        contacts=taken.contacts,
        digest=taken.digest,
    )


def _ratios(name: str, seen: Mapping[str, Sequence[Passes]]) -> list[Measure]:
    pairs = list(zip(seen[name], seen[OURS.name], strict=True))
    stale = {each for theirs, ours in pairs for each in wrong(theirs, ours)}
    return [
        Measure(
            name=f"peer-{name}-{each}",
            value=statistics.median(them[each].seconds / us[each].seconds for them, us in pairs),
            digits=2,
            beside=_beside(pairs[-1][0][each], pairs[-1][1][each], stale=each in stale),
        )
        for each in PASSES
    ]


def _beside(theirs: Pass, ours: Pass, *, stale: bool) -> str:
    wrong_after = "; the server is left with old values" if stale else ""
    return f"{theirs.requests} requests, ours {ours.requests}{wrong_after}"


def _line(one: Pass) -> str:
    return f"{one.seconds:.1f} s, {one.requests} requests"
