"""One run of `sync` inside the test's own process, made of the real parts."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from meisa_cdc.ports import Meisa, State
from meisa_cdc.settings import Settings
from meisa_cdc.sync.once import Limits, Ran, Run, all_due
from meisa_cdc.wiring import Remote, SystemClock, Wiring

#: Seconds after which the lease of a holder that died has surely expired.
LATER = 10.0


@dataclass(frozen=True, slots=True)
class LaterClock(SystemClock):
    """The machine's clock, ahead of its time: nobody has to wait for a dead process's lease."""

    ahead: float = 0.0

    def now(self) -> float:
        """Return epoch seconds."""
        return time.time() + self.ahead


def deliver(
    settings: Settings,
    *,
    later: float = 0.0,
    limits: Limits | None = None,
    around_state: Callable[[State], State] = lambda state: state,
    around_meisa: Callable[[Meisa], Meisa] = lambda meisa: meisa,
) -> Ran:
    """Look at the app database once and deliver what differs; put off is tried again at once.

    `later` sets the clock that many seconds ahead.
    """
    wiring = Wiring(settings=settings, clock=LaterClock(ahead=later))
    mappings = wiring.mappings()
    with ExitStack() as stack:
        state = around_state(stack.enter_context(wiring.state_to_lead("sync")))
        client = wiring.meisa()
        stack.callback(client.close)
        meisa = around_meisa(client)
        windows = Remote(wiring=wiring, state=state, meisa=meisa).windows()
        passes = wiring.passes(state, windows, mappings)
        push = wiring.push(state, meisa, windows)
        push.deliveries.jitter = lambda: 0.0
        run = Run(
            passes=passes,
            push=push,
            clock=wiring.clock,
            aside=wiring.aside(),
            every=settings.schedule.every,
            due=all_due(passes),
            stopping=wiring.clock.stop.is_set,
            limits=limits or Limits(),
        )
        return run.run()
