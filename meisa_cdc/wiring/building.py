"""Concrete parts from settings."""

import random
import time
from collections.abc import Iterable, Iterator, Mapping as Dict, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from meisa_cdc.core.budget import Window
from meisa_cdc.core.errors import MappingError, SettingsError, Stop
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.mapping import EMAILS, ONCE, Mapping, named
from meisa_cdc.ports import Meisa, Ping, State
from meisa_cdc.settings import Settings
from meisa_cdc.source.database import AppDatabase
from meisa_cdc.source.templates import load_mappings
from meisa_cdc.state import LeaseKeeper, SqlState, TemporarySpool, holder_name, open_state
from meisa_cdc.sync.acquaintance import LIMITS, Terms
from meisa_cdc.sync.deliveries import Deliveries
from meisa_cdc.sync.occurrences import OccurrencePush
from meisa_cdc.sync.passes import Passes
from meisa_cdc.sync.push import Push
from meisa_cdc.sync.scopes import Lack, lacking
from meisa_cdc.wiring.system import SystemClock, Threads

if TYPE_CHECKING:
    from meisa_cdc.meisa import HttpMeisa
    from meisa_cdc.suppressed import SuppressedTable


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """Builds what the commands need from the settings."""

    settings: Settings
    clock: SystemClock

    @classmethod
    def of(cls, settings: Settings) -> "Wiring":
        """Return the wiring for these settings, with the real clock."""
        return cls(settings=settings, clock=SystemClock())

    def source(self) -> AppDatabase:
        """Return the app database, not yet connected."""
        return AppDatabase(
            self.settings.require_app_database().reveal(),
            statement_timeout=self.settings.app_database.statement_timeout,
            variables=self.settings.vars,
            log=self.settings.capture.name,
            max_wal=self.settings.capture.max_wal,
        )

    def setup(self) -> AppDatabase:
        """Return the app database for whoever may alter it. Raises SettingsError."""
        url = self.settings.require_setup()
        if url.dialect != self.settings.require_app_database().dialect:
            raise SettingsError(
                "MEISA_CDC_SETUP_URL leads to another kind of database than app_database.url.",
                hint="It names a role that may alter that same database.",
            )
        return AppDatabase(url.reveal(), log=self.settings.capture.name)

    def mappings(self) -> Dict[str, Mapping]:
        """Return the mappings as their files stand. Raises MappingError."""
        url = self.settings.require_app_database()
        return named(
            load_mappings(
                self.settings.mappings_dir, variables=self.settings.vars, dialect=url.dialect
            )
        )

    def captures(self) -> dict[str, tuple[str, str]]:
        """Return how the changes of each mapping are found, and why; nothing is asked for it.

        Left out: mappings that are not valid.
        """
        found = {}
        try:
            source = self.source()
            mappings = self.mappings()
        except Stop:
            return {}
        for name, mapping in mappings.items():
            with suppress(MappingError):
                capture = source.capture_of(mapping)
                found[name] = (capture.kind, capture.why)
        return found

    @contextmanager
    def state_to_read(self) -> Iterator[SqlState]:
        """Open the state for reading; one that does not exist is empty, and stays so."""
        with open_state(
            self.settings.state.url.reveal(), clock=self.clock, read_only=True
        ) as state:
            yield state

    @contextmanager
    def state_to_write(self) -> Iterator[SqlState]:
        """Open the state without its lease, for what any process may record."""
        with open_state(self.settings.state.url.reveal(), clock=self.clock) as state:
            yield state

    @contextmanager
    def state_to_lead(self, command: str) -> Iterator[SqlState]:
        """Open the state and hold its lease. Raises LeaseHeld, which names the holder."""
        with self.state_to_write() as state, LeaseKeeper(state.lease(holder_name(command))):
            yield state

    def lease(self, state: State) -> LeaseKeeper:
        """Return the daemon's lease on a state that this wiring opened, to be held in a `with`."""
        if not isinstance(state, SqlState):
            raise TypeError(type(state))
        return LeaseKeeper(state.lease(holder_name("run")))

    def terms(self) -> Terms:
        """Return the request limits as far as they are configured."""
        meisa = self.settings.meisa
        return Terms(
            configured=meisa.limits if meisa.limits_are_given else None, reserve=meisa.reserve
        )

    def windows(self, state: State) -> tuple[Window, ...]:
        """Return the windows left to us, as far as can be known without asking Meisa."""
        limits = state.note(LIMITS) or {}
        remembered = Ping(
            product="",
            product_name="",
            environment="",
            scopes=None,
            per_minute=limits.get("per_minute"),
            per_hour=limits.get("per_hour"),
        )
        return self.terms().windows(remembered)

    def passes(
        self,
        state: State,
        windows: tuple[Window, ...],
        mappings: Dict[str, Mapping] | None = None,
    ) -> Passes:
        """Return what looks at the app database."""
        guard = self.settings.guard
        return Passes(
            source=self.source(),
            state=state,
            spool=TemporarySpool,
            clock=self.clock,
            guard=GuardSettings(
                first_load=guard.first_load,
                max_change=guard.max_change,
                max_missing=guard.max_missing,
                min_contacts=guard.min_contacts,
                max_new_rows=guard.max_new_rows,
            ),
            emails=self.settings.emails.enabled,
            windows=windows,
            zone=self.settings.schedule.timezone,
            full_every=self.settings.schedule.full_scan_every,
            mappings=self.mappings() if mappings is None else mappings,
        )

    def meisa(self) -> "HttpMeisa":
        """Return the client. Raises SettingsError where no key is set."""
        from meisa_cdc.meisa import HttpMeisa

        self.settings.require_api_key()
        return HttpMeisa(
            self.settings.meisa.base_url,
            self.settings.require_api_key,
            timeout=self.settings.meisa.timeout,
            monotonic=time.monotonic,
            now=time.time,
        )

    def lacking(self, ping: Ping, mappings: Iterable[Mapping]) -> tuple[Lack, ...]:
        """Return the scopes that the key lacks for these mappings."""
        return lacking(ping.scopes, mappings, emails=self.settings.emails.enabled)

    def push(
        self,
        state: State,
        meisa: Meisa,
        windows: tuple[Window, ...],
        lacks: Sequence[Lack] = (),
    ) -> Push:
        """Return what delivers; requests still under way at the end are left in doubt.

        What needs one of the scopes in `lacks` is not tried for a while.
        """
        lanes = Threads("request", self.settings.meisa.concurrency)
        return Push(
            state=state,
            clock=self.clock,
            windows=windows,
            timeout=self.settings.meisa.timeout,
            concurrency=self.settings.meisa.concurrency,
            deliveries=Deliveries(
                state=state,
                meisa=meisa,
                clock=self.clock,
                windows=windows,
                lanes=lanes,
                jitter=random.random,
            ),
            once=OccurrencePush(
                state=state,
                meisa=meisa,
                clock=self.clock,
                lanes=lanes,
                suppressions=self.suppression_table(),
                jitter=random.random,
                kinds=tuple(k for k in ONCE if k != EMAILS or self.settings.emails.enabled),
                lacks=lacks,
            ),
        )

    def aside(self) -> Executor:
        """Return what runs looks beside the delivery."""
        return Threads("look")

    def suppression_table(self) -> "SuppressedTable":
        """Return the app's suppression table, on its own connection."""
        from meisa_cdc.suppressed import SuppressedTable

        return SuppressedTable(
            self.settings.suppression_url().reveal(), table=self.settings.suppression.table
        )
