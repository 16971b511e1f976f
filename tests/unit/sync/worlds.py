"""A small world to synchronise: an app database of plain tables, a state, a Meisa, a clock."""

import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from meisa_cdc.core.budget import Window, parse_windows, windows_of
from meisa_cdc.core.captures import CHECKSUM, LOG, SCAN, WATERMARK, Capture
from meisa_cdc.core.changelog import Trail
from meisa_cdc.core.checksums import Buckets, Within, gathered
from meisa_cdc.core.errors import InvalidValue, MappingFailed, SourceUnavailable
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.keys import canonical_key
from meisa_cdc.core.mapping import Column, Mapping
from meisa_cdc.core.plan import Plan
from meisa_cdc.sync.deliveries import Deliveries
from meisa_cdc.sync.occurrences import OccurrencePush
from meisa_cdc.sync.once import Limits, Ran, Run
from meisa_cdc.sync.passes import Look, Passes
from meisa_cdc.sync.push import Push
from meisa_cdc.testing import HandClock, MemorySpool, MemoryState, MemorySuppressions, ScriptedMeisa

IDENTITY, PLAN, USAGE = "contacts/identity", "contacts/plan", "contacts/usage"
Row = tuple[Any, ...]


class Inline(Executor):
    """Runs what is submitted at once, in the caller's thread."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done."""
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - whoever asks for the result gets it
            future.set_exception(error)
        return future


class Delayed(Executor):
    """Keeps what is submitted until it is told to go on."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Future[Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that is done once `answer` came to it."""
        future: Future[Any] = Future()
        future.set_running_or_notify_cancel()
        self.waiting.append((lambda: fn(*args, **kwargs), future))
        return future

    def answer(self, place: int = 0) -> None:
        """Do one of the things that wait, the oldest unless told otherwise."""
        work, future = self.waiting.pop(place)
        future.set_result(work())

    def answer_all(self) -> None:
        """Do all of it, the oldest first."""
        while self.waiting:
            self.answer()


class Lanes(Executor):
    """So many lanes; what is submitted beyond waits for one."""

    def __init__(self, most: int) -> None:
        self.waiting: list[tuple[Callable[[], Any], Future[Any]]] = []
        self.most = most
        self.answered = 0

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Return a future that may be cancelled until a lane is free for it."""
        future: Future[Any] = Future()
        self.waiting.append((partial(fn, *args, **kwargs), future))
        self._board()
        return future

    def answer(self, count: int) -> None:
        """Let so many requests be answered, the oldest first."""
        for _ in range(count):
            work, future = self.waiting.pop(0)
            future.set_result(work())
            self.answered += 1
            self._board()

    def _board(self) -> None:
        for _, future in self.waiting[: self.most]:
            if not future.running():
                future.set_running_or_notify_cancel()


@dataclass(slots=True)
class Table:
    """What a mapping's query yields."""

    columns: list[str]
    rows: list[Row]
    #: Families of the columns' types, by column.
    types: dict[str, str] = field(default_factory=dict)
    #: Where rows say when they changed: that time by key, as `2026-01-12 08:30:00`.
    changed: dict[str, str] | None = None


@dataclass(slots=True)
class Log:
    """What a database keeps of changed rows."""

    #: The mappings whose tables it tells of.
    follows: set[str]
    #: Mapping and key of each change, the oldest first.
    entries: list[tuple[str, str]] = field(default_factory=list)
    #: How many were cut off.
    start: int = 0
    identity: str = "the log"
    #: There are more changes than anybody wants to hear of.
    overflown: bool = False
    #: Why it cannot be read; "": it can.
    silence: str = ""
    #: Mappings of which it cannot be found out whom changes affect.
    failing: set[str] = field(default_factory=set)
    #: How many changes it may keep before it is dropped; None: any number.
    most: int | None = None


class Tables:
    """`ports.Source` and its one snapshot, over tables by mapping name."""

    def __init__(self) -> None:
        self.tables: dict[str, Table] = {}
        #: Mappings whose query fails in the middle.
        self.failing: set[str] = set()
        #: Mappings whose query the database does not even describe.
        self.refused: set[str] = set()
        #: The connection is lost before the snapshot ends.
        self.down = False
        #: Rows yielded at a time.
        self.batch = 3
        #: Every read: mapping, and the keys it was restricted to.
        self.reads: list[tuple[str, list[str] | None]] = []
        #: What checksums depend on; None: this database has none.
        self.engine: str | None = None
        #: Rows handed over, by mapping.
        self.yielded: Counter[str] = Counter()
        #: Changed rows; None: nobody keeps them.
        self.log: Log | None = None
        #: Whether keys are listed beside sums.
        self.lists = True
        #: Keys of rows that a read by key does not find.
        self.elusive: set[str] = set()
        #: Mappings that cannot be read by key.
        self.whole_only: set[str] = set()
        #: Every adding up: mapping, and the bits of its buckets.
        self.summed: list[tuple[str, int]] = []

    def protect(self) -> str | None:
        """Drop a log that keeps too much."""
        if self.down:
            raise SourceUnavailable("The app database went away.")
        if self.log is None or self.log.most is None or len(self.log.entries) <= self.log.most:
            return None
        self.log = None
        return "the log kept too much"

    @contextmanager
    def snapshot(self) -> Iterator["Tables"]:
        """Yield the tables as they are."""
        yield self
        if self.down:
            raise SourceUnavailable("The app database went away.")

    def columns(self, mapping: Mapping) -> list[Column]:
        """Return the columns of a mapping's table."""
        if mapping.name in self.refused:
            raise MappingFailed("no such table", mapping=mapping.name)
        table = self.tables[mapping.name]
        return [Column(name=name, type=table.types.get(name, "")) for name in table.columns]

    def read(
        self, mapping: Mapping, keys: Sequence[str] | None = None
    ) -> Iterator[Sequence[Sequence[object]]]:
        """Yield the rows in small batches."""
        self.reads.append((mapping.name, None if keys is None else list(keys)))
        table = self.tables[mapping.name]
        rows = list(table.rows)
        if keys is not None:
            place = table.columns.index("external_id")
            wanted = set(keys)
            rows = [row for row in rows if canonical_key(row[place]) in wanted]
        yield from self._batches(mapping, rows)

    def _batches(self, mapping: Mapping, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        for start in range(0, len(rows), self.batch):
            batch = rows[start : start + self.batch]
            self.yielded[mapping.name] += len(batch)
            yield batch
            if mapping.name in self.failing:
                break
        if mapping.name in self.failing:
            raise MappingFailed("statement timeout", mapping=mapping.name)

    def scheme(self, mapping: Mapping) -> str | None:
        """Return what checksums depend on."""
        if self.engine is None:
            return None
        return f"{self.engine} {self.tables[mapping.name].columns}"

    def checksums(self, mapping: Mapping, bits: int, within: Within | None = None) -> Buckets:
        """Return what the rows add up to; a mapping that fails does so here, or later."""
        table = self.tables[mapping.name]
        mask = (1 << bits) - 1
        groups: dict[int, list[int]] = defaultdict(list)
        self.summed.append((mapping.name, bits))
        for row in table.rows:
            if not _lies(_place(table, row), within):
                continue
            groups[_place(table, row) & mask].append(zlib.crc32(repr(row).encode()) + (1 << 63))
        return gathered(bits, ((b, len(each), sum(each)) for b, each in groups.items()))

    def listed(
        self, mapping: Mapping, bits: int, within: Within
    ) -> tuple[Buckets, dict[int, list[object]]]:
        """Return what the rows add up to, and their keys."""
        keys: dict[int, list[object]] = defaultdict(list)
        table = self.tables[mapping.name]
        for row in table.rows if self.lists else ():
            if _lies(_place(table, row), within):
                keys[_place(table, row) & ((1 << bits) - 1)].append(
                    row[table.columns.index("external_id")]
                )
        return self.checksums(mapping, bits, within), keys

    def placed(
        self,
        mapping: Mapping,
        *,
        keys: Sequence[str] | None = None,
        within: Within | None = None,
    ) -> Iterator[Sequence[Sequence[object]]]:
        """Yield the rows in small batches, each with its place."""
        self.reads.append((mapping.name, None if keys is None else list(keys)))
        table = self.tables[mapping.name]
        rows = [(*row, _place(table, row)) for row in table.rows]
        if keys is not None:
            found = set(keys) - self.elusive
            rows = [row for row in rows if _key(table, row) in found]
            if mapping.name in self.whole_only:
                raise MappingFailed("statement timeout", mapping=mapping.name)
        rows = [row for row in rows if _lies(row[-1], within)]
        yield from self._batches(mapping, rows)

    def capture(self, mapping: Mapping) -> Capture:
        """Return how changes of a mapping's table are found."""
        table = self.tables[mapping.name]
        if self.log is not None and mapping.name in self.log.follows:
            return Capture(kind=LOG, why="there is a log")
        kind = CHECKSUM if self.engine is not None else SCAN
        return Capture(kind=kind if table.changed is None else WATERMARK, why="as its table is")

    def trail(self, mapping: Mapping, since: int | None = None) -> Trail:
        """Return from where on the log goes."""
        assert self.log is not None
        return Trail(identity=f"{self.log.identity} {mapping.name}", start=self.log.start)

    def changed(self, mapping: Mapping, since: int) -> Iterator[Sequence[str]] | None:
        """Yield the keys that the log has of a mapping, in small batches."""
        assert self.log is not None
        if self.log.overflown or self.log.silence:
            return None
        if mapping.name in self.log.failing:
            raise MappingFailed("statement timeout", mapping=mapping.name)
        keys = [key for name, key in self.log.entries if name == mapping.name]
        return iter([keys[start : start + self.batch] for start in range(0, len(keys), self.batch)])

    def silence(self) -> str:
        """Return why the log told nothing."""
        assert self.log is not None
        return self.log.silence

    def upto(self) -> int | None:
        """Return the end of the log."""
        assert self.log is not None
        if self.log.silence:
            return None
        return self.log.start + len(self.log.entries)

    def watch(self) -> "Tables":
        """Return what looks at the log."""
        return self

    def moved(self) -> bool:
        """Tell whether there is something in it."""
        if self.down:
            raise SourceUnavailable("The app database went away.")
        return self.log is not None and bool(self.log.entries)

    def close(self) -> None:
        """Nothing is held."""

    def acknowledge(self, upto: int) -> None:
        """Cut the log off."""
        if self.down:
            raise SourceUnavailable("The app database went away.")
        assert self.log is not None
        del self.log.entries[: upto - self.log.start]
        self.log.start = upto

    def keys_since(self, mapping: Mapping, wall: str) -> Iterator[Sequence[str]]:
        """Yield the keys of rows that changed since, in small batches."""
        table = self.tables[mapping.name]
        keys = [key for row in table.rows if (key := _key(table, row)) is not None]
        late = [key for key in keys if (table.changed or {}).get(key, "") >= wall]
        for start in range(0, len(late), self.batch):
            yield late[start : start + self.batch]


def _lies(place: int, within: Within | None) -> bool:
    return within is None or place & ((1 << within.bits) - 1) in within.buckets


def _place(table: Table, row: Row) -> int:
    """Return a place by the key as it is spelled, which databases do as well."""
    return zlib.crc32(repr(row[table.columns.index("external_id")]).encode()) >> 1


def _key(table: Table, row: Row) -> str | None:
    try:
        return canonical_key(row[table.columns.index("external_id")])
    except InvalidValue:
        return None


def windows(text: str = "1000/1s") -> tuple[Window, ...]:
    """Return request windows without a reserve."""
    return windows_of(parse_windows(text), 0.0)


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that one sync touches, and the sync itself."""

    clock: HandClock = field(default_factory=HandClock)
    state: MemoryState = field(default_factory=MemoryState)
    source: Tables = field(default_factory=Tables)
    mappings: dict[str, Mapping] = field(default_factory=dict)
    guard: GuardSettings = field(default_factory=GuardSettings)
    windows: tuple[Window, ...] = field(default_factory=windows)
    lanes: Executor = field(default_factory=Inline)
    concurrency: int = 1
    #: E-mails are enabled.
    emails: bool = False
    suppressions: MemorySuppressions = field(default_factory=MemorySuppressions)
    meisa: ScriptedMeisa = field(init=False)

    def __post_init__(self) -> None:
        """Meisa lives by the same clock."""
        self.meisa = ScriptedMeisa(self.clock)

    def table(self, name: str, columns: str, rows: Sequence[Row], **settings: Any) -> None:
        """Set a mapping and what it yields; `columns` are words, the key is one of them."""
        before = self.mappings.get(name)
        digest = "first edition" if before is None else before.digest
        given = {"digest": digest, "kind": name.partition("/")[0], **settings}
        self.mappings[name] = Mapping(name=name, text="", **given)
        self.source.tables[name] = Table(columns=columns.split(), rows=list(rows))

    def people(self, *keys: object, rows: Sequence[Row] = ()) -> None:
        """Set identity to these keys, each with an address of its own, and further rows."""
        plain = [(key, f"{key}@example.com", f"Name {key}") for key in keys]
        self.table(IDENTITY, "external_id email first_name", [*plain, *rows])

    def plans(self, plans: dict[Any, Any]) -> None:
        """Set the plan of these keys."""
        self.table(PLAN, "external_id plan", list(plans.items()))

    def rows(self, name: str) -> list[Row]:
        """Return a table's rows, to be changed in place."""
        return self.source.tables[name].rows

    def edit(self, name: str, digest: str = "second edition", **settings: Any) -> None:
        """Change a mapping's file."""
        self.mappings[name] = replace(self.mappings[name], digest=digest, **settings)

    def passes(self) -> Passes:
        """Return what looks at the app database."""
        return Passes(
            source=self.source,
            state=self.state,
            spool=MemorySpool,
            clock=self.clock,
            guard=self.guard,
            windows=self.windows,
            zone=ZoneInfo("UTC"),
            emails=self.emails,
            mappings=self.mappings,
        )

    def push(self) -> Push:
        """Return what delivers."""
        return Push(
            state=self.state,
            clock=self.clock,
            windows=self.windows,
            timeout=30.0,
            concurrency=self.concurrency,
            deliveries=Deliveries(
                state=self.state,
                meisa=self.meisa,
                clock=self.clock,
                windows=self.windows,
                lanes=self.lanes,
                jitter=lambda: 0.5,
            ),
            once=OccurrencePush(
                state=self.state,
                meisa=self.meisa,
                clock=self.clock,
                lanes=self.lanes,
                suppressions=self.suppressions,
                jitter=lambda: 0.5,
                kinds=self.passes().kinds,
            ),
        )

    def look(
        self, due: Sequence[str] | None = None, *, whole: bool = True
    ) -> AbstractContextManager[Look]:
        """Look at these mappings, or all."""
        return self.passes().look(self.mappings if due is None else due, whole=whole)

    def plan(self, due: Sequence[str] | None = None) -> Plan:
        """Return the plan of a dry run."""
        with self.look(due) as look:
            return look.plan

    def admit(self, due: Sequence[str] | None = None, *, whole: bool = False) -> Look:
        """Do a daemon's pass; deliver nothing."""
        with self.look(due, whole=whole) as look:
            self.passes().admit(look, replace_holds=False)
            return look

    def run(self, **settings: Any) -> Run:
        """Return one run of `sync`, not yet begun."""
        given: dict[str, Any] = {
            "passes": self.passes(),
            "push": self.push(),
            "clock": self.clock,
            "aside": Inline(),
            "every": 60.0,
            "due": frozenset(self.mappings),
            "stopping": lambda: False,
        }
        return Run(**{**given, **settings})

    def sync(
        self, due: Sequence[str] | None = None, *, approve: str = "", limits: Limits | None = None
    ) -> Ran:
        """Do one run of `sync`, without waiting for what was put off."""
        names = self.mappings if due is None else due
        run = self.run(due=frozenset(names), limits=limits or Limits(no_wait=True))
        return run.run(approve=approve)

    def held_at_meisa(self, key: str) -> dict[str, Any] | None:
        """Return the fields that Meisa holds for a contact."""
        contact = self.meisa.find(key)
        return None if contact is None else contact.fields()

    def bodies(self) -> list[dict[str, Any]]:
        """Return the bodies sent since the last call."""
        sent = [dict(request.body) for request in self.meisa.requests]
        self.meisa.requests.clear()
        return sent

    def sent_keys(self) -> list[str]:
        """Return whom the requests since the last call were about, in order."""
        return [body["external_id"] for body in self.bodies()]


def dump(state: MemoryState) -> str:
    """Return all that a state holds, to compare it with itself later."""
    kept = {name: value for name, value in vars(state).items() if name not in _MACHINERY}
    return repr(kept)


def backup_of(state: MemoryState) -> MemoryState:
    """Return a state that holds what this one holds now."""
    copy = MemoryState()
    for name, value in vars(state).items():
        if name not in _MACHINERY:
            setattr(copy, name, _copied(value))
    return copy


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(each) for name, each in value.items()}
    return value


_MACHINERY = ("on_step", "_lock")
