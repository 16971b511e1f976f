"""Following a database's log of changed rows to the contacts that they affect."""

import hashlib
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeAlias

from meisa_cdc.core.captures import LOG
from meisa_cdc.core.changelog import Trail
from meisa_cdc.core.errors import MappingFailed
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.source.affected.answers import Catalogue, Derivation, FullScan
from meisa_cdc.source.affected.asking import Behind, Changes
from meisa_cdc.source.changelog import Seen, Standing, Told, needed, wanted
from meisa_cdc.source.session import Rows, Session
from meisa_cdc.source.statements import Approved, Statement

SET_UP = "Run `meisa-cdc capture setup`."
UNKEPT = FullScan(reason="the database keeps no log of changed rows", advice=SET_UP)
UNTRACED = FullScan(
    reason="changed rows of this kind of database are not followed",
    advice="Use another capture.",
)
#: Of tables, and of functions, in a query.
Names: TypeAlias = tuple[Sequence[str], Sequence[str]]
#: There is none, so nobody wonders why it is not used.
NO_LOG = (UNKEPT, UNTRACED)
UNTOLD = FullScan(reason="its tables were not asked for in time", advice="")


class Derivations:
    """What was derived from the texts of mappings, for as long as the catalogue says the same."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], Names] = {}
        self._found: dict[tuple[str, str], tuple[Catalogue, Derivation]] = {}

    def derivation(
        self, approved: Approved, catalogue: Callable[[Sequence[str], Sequence[str]], Catalogue]
    ) -> Derivation:
        """Return how the contacts are found that changed rows affect in a mapping."""
        from meisa_cdc.source.affected.mappings import derivation_of, names_in

        identity = approved.mapping.name, approved.mapping.digest
        if identity not in self._names:
            self._names[identity] = names_in(approved)
        said = catalogue(*self._names[identity])
        known = self._found.get(identity)
        if known is None or known[0] != said:
            known = self._found[identity] = said, derivation_of(approved, said)
        return known[1]


@dataclass(slots=True, kw_only=True)
class Following:
    """Whom changed rows affect, beside one snapshot."""

    session: Session
    derivations: Derivations
    #: Encloses what is done for one mapping.
    statement: Callable[[Mapping], AbstractContextManager[None]]
    #: What the database says of tables and functions in a query.
    catalogue: Callable[[Sequence[str], Sequence[str]], Catalogue]
    _derived: dict[tuple[str, str], Derivation] = field(default_factory=dict)
    _standing: Standing | FullScan | None = None
    #: What the log told, by the place since which it was asked.
    _told: dict[int | None, Told | FullScan] = field(default_factory=dict)
    #: One of the mappings that the log is read for.
    _followed: Mapping | None = None
    #: Columns that mappings need to be told of, by table.
    _wanted: dict[str, set[str]] = field(default_factory=dict)
    #: Those of them that were asked for when the log was read.
    _asked: dict[str, frozenset[str]] = field(default_factory=dict)

    def derivation(self, approved: Approved) -> Derivation:
        """Return how the contacts are found that changed rows affect in a mapping."""
        identity = approved.mapping.name, approved.mapping.digest
        found = self._derived.get(identity)
        if found is None:
            with self.statement(approved.mapping):
                found = self.derivations.derivation(approved, self.catalogue)
            self._derived[identity] = found
        return found

    def affected(
        self, approved: Approved, changes: Changes | Behind
    ) -> Generator[list[str], None, None] | FullScan:
        """Return the keys of contacts that changes may affect, in chunks, or why not."""
        from meisa_cdc.source.affected.mappings import affected_keys

        tracing = self.session.tracing
        if tracing is None:
            return UNTRACED
        derivation = self.derivation(approved)

        def answers(statement: Statement) -> Rows:
            with self.statement(approved.mapping):
                yield from tracing.answers(statement)

        return affected_keys(approved, derivation, changes, answers)

    def unfollowed(self, approved: Approved) -> FullScan | None:
        """Return why the log does not tell what changes a mapping; None: it does.

        Where nobody asked for the log, it has to tell of changes in each table whom they affect,
        and that rows do not change of themselves.
        """
        if self.session.tracing is None:
            return UNTRACED
        standing = self._standing_for(approved.mapping)
        if isinstance(standing, FullScan):
            return standing
        derivation = self.derivation(approved)
        # What no setting up would change is told first.
        asked = approved.mapping.capture == LOG
        unfit = derivation.scan or (None if asked else unsuited(derivation))
        return unfit or _gap(derivation, standing)

    def trail(self, approved: Approved, since: int | None) -> Trail:
        """Return what the log covers of the tables of a mapping that it tells all of.

        `since`: the place of its bookmark. Has to be asked for all mappings before the first
        `changed`.
        """
        standing = self._standing_for(approved.mapping)
        if isinstance(standing, FullScan):
            raise TypeError(standing.reason)
        derivation = self.derivation(approved)
        for table, columns in wanted(derivation).items():
            self._wanted.setdefault(table, set()).update(columns)
        shapes = sorted(f"{t.table}={standing.tables[t.table].shape}" for t in derivation.tables)
        shape = hashlib.sha256("\n".join(shapes).encode()).hexdigest()[:16]
        identity = f"{standing.identity} {shape}"
        return Trail(
            identity=identity,
            start=standing.start,
            end=standing.end,
            passed=self._passed(approved.mapping, standing, since),
        )

    def _passed(
        self, mapping: Mapping, standing: Standing, since: int | None
    ) -> frozenset[int] | None:
        if standing.passed is None:
            return None
        with self.statement(mapping):
            asked = () if since is None else (since,)
            return frozenset(filter(standing.passed, asked))

    def changed(
        self, approved: Approved, since: int
    ) -> Generator[list[str], None, None] | FullScan:
        """Return the keys of contacts that the log's changes may affect, in chunks, or why not.

        `since`: the place of a bookmark; of what was before, some may be told again.
        """
        told = self._tell(since)
        if isinstance(told, FullScan):
            return told
        if told.scan is not None:
            return told.scan
        derivation = self.derivation(approved)
        for table, columns in wanted(derivation).items():
            if table in told.unsure:
                return FullScan(reason=f"{table} was emptied or altered", advice="")
            if table not in self._asked or not columns <= self._asked[table]:
                return UNTOLD
        return self.affected(approved, told.changes)

    def upto(self) -> int | FullScan:
        """Return the place in the log that this snapshot makes superfluous, or why not."""
        told = self._tell(None)
        return told if isinstance(told, FullScan) else told.upto

    @property
    def seen(self) -> Seen | None:
        """What the log told; None where it was not asked."""
        log = self.session.log if self._told else None
        return None if log is None else log.seen

    def _tell(self, since: int | None) -> Told | FullScan:
        log, mapping, standing = self.session.log, self._followed, self._standing
        if log is None or mapping is None:
            return UNKEPT
        if not isinstance(standing, Standing) or standing.passed is None:
            # It tells the same to everybody.
            since = None
        if since not in self._told:
            if not self._told:
                self._asked = {t: frozenset(columns) for t, columns in self._wanted.items()}
            try:
                with self.statement(mapping):
                    self._told[since] = log.told(self._asked, since)
            except MappingFailed as error:
                self._told[since] = _unreadable(error)
        return self._told[since]

    def _standing_for(self, mapping: Mapping) -> Standing | FullScan:
        """Return what the log covers; what is asked for it is asked on behalf of a mapping."""
        self._followed = mapping
        if self._standing is None:
            try:
                with self.statement(mapping):
                    log = self.session.log
                    self._standing = UNKEPT if log is None else log.standing()
            except MappingFailed as error:
                self._standing = _unreadable(error)
        return self._standing


def _unreadable(error: MappingFailed) -> FullScan:
    said = str(error).removeprefix(f"{error.mapping}: ").rstrip(".")
    return FullScan(reason=f"the log cannot be read: {said}", advice="")


def unsuited(derivation: Derivation) -> FullScan | None:
    """Return what a log would make costly, or leave to the next full read."""
    if derivation.unsteady:
        return FullScan(reason=f"{derivation.unsteady[0]} changes of itself", advice="")
    answers = (table.answer for table in derivation.tables)
    return next((answer for answer in answers if isinstance(answer, FullScan)), None)


def _gap(derivation: Derivation, standing: Standing) -> FullScan | None:
    known = needed(derivation)
    for table, columns in wanted(derivation).items():
        kept = standing.tables.get(table)
        if kept is None:
            return FullScan(reason=f"changes of {table} are not kept", advice=SET_UP)
        missing = sorted(known[table] - set(kept.before))
        if missing:
            reason = f"changes of {table} do not tell what {missing[0]} was"
            return FullScan(reason=reason, advice=SET_UP)
        untold = sorted(columns - set(columns if kept.told is None else kept.told))
        if untold:
            reason = f"changes of {table} do not tell of {untold[0]}"
            return FullScan(reason=reason, advice=SET_UP)
    return None
