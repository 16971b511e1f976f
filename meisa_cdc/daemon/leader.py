"""The work of the process that holds the lease: passes when due, deliveries all the time."""

from collections.abc import Callable, Mapping as Dict
from dataclasses import dataclass, field, replace
from threading import Thread

from meisa_cdc.core.errors import MappingError, MeisaCdcError, RetryLater
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.daemon.health import PASS, START, STATE, Health
from meisa_cdc.daemon.schedule import SUPPRESSIONS, Due, Schedules
from meisa_cdc.daemon.telling import Log, Telling
from meisa_cdc.daemon.waking import Waking
from meisa_cdc.ports import Clock
from meisa_cdc.sync.once import GRACE
from meisa_cdc.sync.passes import Passes
from meisa_cdc.sync.push import LONGEST_WAIT, Push

#: Seconds before what failed is tried again, doubled up to the longest.
FIRST_RETRY = 5.0
#: Seconds between two looks at how much the log keeps.
PROTECT_EVERY = 60.0
LONGEST_RETRY = 300.0


@dataclass(slots=True, kw_only=True)
class Leader:
    """Works until it is asked to stop, or the lease is lost."""

    passes: Passes
    push: Push
    #: Reads the mapping files; raises MappingError where they are not a whole valid set.
    load: Callable[[], Dict[str, Mapping]]
    #: Pulls the suppression list.
    pull: Callable[[], None]
    schedules: Schedules
    due: Due
    clock: Clock
    stopping: Callable[[], bool]
    log: Log
    health: Health
    waking: Waking
    #: When each mapping, and the suppression list, was last read; epoch seconds.
    last: Dict[str, float] = field(default_factory=dict)
    #: Why the newest mapping files are not used; empty where they are.
    _broken: str = ""
    _failed: BaseException | None = None
    #: This process no longer leads, for whatever reason.
    _over: bool = False
    #: When it is looked next whether the log keeps too much, and what was in the way the last time.
    _protects: float = 0.0
    _unprotected: str = ""
    _telling: Telling = field(init=False)

    def __post_init__(self) -> None:
        """Begin to tell."""
        self._telling = Telling(log=self.log, health=self.health, push=self.push)

    def work(self) -> None:
        """Capture in a thread beside, deliver in this one. Raises LeaseLost, or what is fatal."""
        self.schedules.start(self.passes.mappings.values(), self.last, self.clock.now())
        captures = Thread(target=self._guarded, args=(self._capture,), name="capture", daemon=True)
        captures.start()
        self.health.works(START)
        try:
            self._deliver()
        finally:
            self._over = True
            ends = self.clock.now() + GRACE
            self.schedules.stop()
            self.due.close()
            self._finish()
            captures.join(max(0.0, ends - self.clock.now()))
            self.waking.watch.close()
        if self._failed is not None:
            raise self._failed

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - carried over to the main thread
            self._failed = error

    def _ending(self) -> bool:
        return self._over or self._failed is not None or self.stopping()

    def _capture(self) -> None:
        retry = FIRST_RETRY
        while not self._ending():
            names = self.due.take(LONGEST_WAIT) | self._approved() | self._woken()
            mappings = names - {SUPPRESSIONS}
            problem = self._attempt(mappings) if mappings else None
            if SUPPRESSIONS in names:
                self._pull()
            self._protect()
            if problem is None:
                retry = FIRST_RETRY
                continue
            self.log.error("pass failed, will be repeated", error=str(problem), seconds=retry)
            self.health.failed(PASS, str(problem))
            self._pause(retry)
            retry = min(retry * 2, LONGEST_RETRY)
            self.due.mark(*mappings)

    def _approved(self) -> frozenset[str]:
        """Return the mappings whose hold somebody approved: they need not wait for their time."""
        try:
            holds = self.passes.state.holds()
        except RetryLater:
            # Whatever else needs the state tells of it.
            return frozenset()
        return frozenset(hold.mapping for hold in holds if hold.approved_at is not None)

    def _woken(self) -> frozenset[str]:
        """Return the mappings to read now, where a log tells something new."""
        try:
            return self.waking.due(self.passes.woken)
        except RetryLater:
            return frozenset()

    def _protect(self) -> None:
        """Now and then, see to it that the log keeps no more than it may, whatever passes do."""
        if self.clock.now() < self._protects:
            return
        self._protects = self.clock.now() + PROTECT_EVERY
        try:
            reason = self.passes.protect()
        except RetryLater as error:
            if str(error) != self._unprotected:
                self.log.error("log of changed rows not looked after", error=str(error))
            self._unprotected = str(error)
            return
        self._unprotected = ""
        if reason is not None:
            self.log.warning("log of changed rows dropped", reason=reason)

    def _attempt(self, names: frozenset[str]) -> MeisaCdcError | None:
        """Look at these mappings; return what was in the way where a later look may succeed."""
        try:
            self._pass(names)
        except (RetryLater, MappingError) as error:
            return error
        return None

    def _pull(self) -> None:
        try:
            self.pull()
        except RetryLater as error:
            # Contacts are delivered all the same; the next pull is at its own time.
            self.log.error("suppression list not pulled", error=str(error))

    def _pass(self, names: frozenset[str]) -> None:
        fresh = self._edited()
        if fresh is not None:
            try:
                self._look(fresh, names)
            except MappingError as error:
                # Two files may contradict each other in columns that only the database knows.
                self._refuse(error)
            else:
                self._adopt(fresh)
                return
        self._look(self.passes, names)

    def _edited(self) -> Passes | None:
        """Return what looks through the files as they are now; None where there is nothing new."""
        try:
            mappings = self.load()
        except MappingError as error:
            self._refuse(error)
            return None
        if mappings == self.passes.mappings:
            self._broken = ""
            return None
        return replace(self.passes, mappings=mappings)

    def _refuse(self, error: MappingError) -> None:
        if str(error) != self._broken:
            self.log.error("mapping files refused, the old set stays", error=str(error))
        self._broken = str(error)

    def _adopt(self, passes: Passes) -> None:
        self._broken = ""
        self.passes = passes
        self.schedules.update(passes.mappings.values(), self.last, self.clock.now())
        self.log.info("mappings changed", mappings=sorted(passes.mappings))

    def _look(self, passes: Passes, names: frozenset[str]) -> None:
        started = self.clock.now()
        with passes.look(names, whole=False) as look:
            held = passes.admit(look, replace_holds=False)
        seconds = self.clock.now() - started
        self.waking.passed(seconds)
        self._telling.looked(look, held, seconds)
        self.health.works(PASS)
        self.health.passed(self.clock.now())

    def _pause(self, seconds: float) -> None:
        until = self.clock.now() + seconds
        while not self._ending() and self.clock.now() < until:
            self.clock.sleep(min(LONGEST_WAIT, until - self.clock.now()))

    def _deliver(self) -> None:
        while not self._ending():
            try:
                wait = self.push.step()
                self._telling.stepped()
            except RetryLater as error:
                self.log.error("delivery interrupted", error=str(error))
                self.health.failed(STATE, str(error))
                self._pause(FIRST_RETRY)
                continue
            self.health.works(STATE)
            self.push.rest(LONGEST_WAIT if wait is None else wait)

    def _finish(self) -> None:
        try:
            self.push.finish(GRACE)
        except MeisaCdcError as error:
            self.log.error("requests under way stay in doubt", error=str(error))
