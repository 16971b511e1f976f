"""Which Meisa this is, and whether it is the one that our state was filled from."""

from dataclasses import dataclass

from meisa_cdc.core.budget import DEFAULT_WINDOWS, Window, parse_windows, windows_of
from meisa_cdc.core.errors import StateRefused
from meisa_cdc.ports import Ping, State

MINUTE = 60.0
HOUR = 3600.0
#: The limits that the key was last seen to have, for commands that do not ask Meisa.
LIMITS = "limits"


def limits_of(ping: Ping | None) -> tuple[tuple[int, float], ...]:
    """Return the documented windows, with the figures that Meisa reports for this key."""
    reported = {} if ping is None else {MINUTE: ping.per_minute, HOUR: ping.per_hour}
    return tuple(
        (reported.get(period) or count, period) for count, period in parse_windows(DEFAULT_WINDOWS)
    )


def check_belongs(state: State, ping: Ping) -> None:
    """Remember which Meisa the state belongs to; raise StateRefused where it is another one.

    A state without contacts belongs to nobody yet.
    """
    known = state.belongs_to()
    if known is None or not state.counts().contacts:
        state.set_belongs_to(ping.product, ping.environment)
        return
    if (known["product"], known["environment"]) != (ping.product, ping.environment):
        raise StateRefused(
            f"This state holds what Meisa product {known['product']} ({known['environment']}) "
            f"was sent, but the key belongs to product {ping.product} ({ping.environment}).",
            hint="Use the key that belongs to it, or another state.url for the other Meisa.",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """The request windows in force, and where they come from."""

    #: As configured; None: as Meisa reports, else as documented.
    configured: tuple[tuple[int, float], ...] | None
    #: Share of every window left to others, 0..1.
    reserve: float

    def windows(self, ping: Ping | None = None) -> tuple[Window, ...]:
        """Return the windows left to us."""
        limits = limits_of(ping) if self.configured is None else self.configured
        return windows_of(limits, self.reserve)
