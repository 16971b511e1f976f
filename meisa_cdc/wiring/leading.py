"""The daemon's work, put together."""

from meisa_cdc.core.errors import MeisaUnavailable, SuppressionFailed
from meisa_cdc.daemon.health import Health
from meisa_cdc.daemon.leader import Leader
from meisa_cdc.daemon.schedule import Due, Schedules
from meisa_cdc.daemon.telling import Log
from meisa_cdc.daemon.waking import Waking
from meisa_cdc.meisa import MeisaRefused
from meisa_cdc.ports import State
from meisa_cdc.sync.scopes import ADVICE, WRITE, lack_of
from meisa_cdc.wiring.building import Wiring
from meisa_cdc.wiring.remote import SUPPRESSIONS, Remote


def lead(wiring: Wiring, state: State, log: Log, health: Health) -> None:
    """Do the daemon's work while the lease is held. Raises LeaseLost, RetryLater, Stop."""
    with wiring.meisa() as meisa:
        remote = Remote(wiring=wiring, state=state, meisa=meisa)
        try:
            mappings = wiring.mappings()
            terms = remote.terms(mappings.values())
        except MeisaRefused as error:
            # A key is rotated and a proxy mended without us; we go on when it works again.
            raise MeisaUnavailable(str(error)) from error
        for lack in terms.lacks:
            log.error("scope missing", scope=lack.scope, error=f"{lack} {ADVICE}")
        unable = lack_of(WRITE, terms.lacks)
        if unable is not None:
            # As with a key that is refused: nothing can be sent until somebody grants it.
            raise MeisaUnavailable(str(unable), hint=ADVICE)
        windows = terms.windows

        def pull() -> None:
            remote.tidy()
            result, problem = remote.pull(windows)
            if result is None:
                raise SuppressionFailed(problem)

        due = Due()
        schedule = wiring.settings.schedule
        passes = wiring.passes(state, windows, mappings)
        Leader(
            passes=passes,
            waking=Waking(watch=passes.source.watch(), clock=wiring.clock),
            push=wiring.push(state, meisa, windows, terms.lacks),
            load=wiring.mappings,
            pull=pull,
            schedules=Schedules(
                mark=due.mark,
                every=schedule.every,
                suppressions_every=wiring.settings.suppression.every,
                zone=schedule.timezone,
            ),
            due=due,
            clock=wiring.clock,
            stopping=wiring.clock.stop.is_set,
            log=log,
            health=health,
            last=last_runs(state),
        ).work()


def last_runs(state: State) -> dict[str, float]:
    """Return when each mapping was read last, and the suppression list, in epoch seconds."""
    runs = {name: record.read_at for name, record in state.mappings().items()}
    pulled = state.note(SUPPRESSIONS)
    runs[SUPPRESSIONS] = pulled["pulled_at"] if pulled else None
    return {name: at for name, at in runs.items() if at is not None}
