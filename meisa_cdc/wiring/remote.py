"""What is asked of Meisa beside the deliveries, and what is remembered of it."""

from collections.abc import Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass

from meisa_cdc.core.budget import Window
from meisa_cdc.core.errors import MeisaUnavailable, RetryLater
from meisa_cdc.core.mapping import Mapping
from meisa_cdc.pacing import Pacing, within_budget
from meisa_cdc.ports import Meisa, Ping, State, SuppressionResult
from meisa_cdc.sync.acquaintance import LIMITS, check_belongs
from meisa_cdc.sync.scopes import Lack
from meisa_cdc.wiring.building import Wiring

#: Where the last pull is noted.
SUPPRESSIONS = "suppressions"
#: Seconds before each further try to ask about the key.
PING_PAUSES = (1.0, 3.0)
#: Seconds for which runs and requests are kept on record.
KEPT = 90 * 86400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyTerms:
    """What the key grants us."""

    windows: tuple[Window, ...]
    #: Scopes that it lacks.
    lacks: Sequence[Lack]


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Meisa, asked within the budget of one state."""

    wiring: Wiring
    state: State
    meisa: Meisa

    def ping(self) -> Ping:
        """Ask Meisa about the key, and see to it that the state belongs to that Meisa.

        Raises StateRefused where the state belongs to another Meisa, MeisaRefused where the key
        is, MeisaUnavailable where there was no useful answer.
        """
        ping = self._asked_often()
        check_belongs(self.state, ping)
        limits = {"per_minute": ping.per_minute, "per_hour": ping.per_hour}
        self.state.set_note(LIMITS, limits)
        return ping

    def sequence_statuses(self) -> Dict[str, str]:
        """Return the status of each of Meisa's sequences by slug; raises as `ping`, asks once."""
        windows = self.wiring.windows(self.state)
        return within_budget(
            "sequences",
            self.meisa.sequence_statuses,
            self.state,
            self.wiring.clock,
            self._pacing(windows),
        )

    def _asked_often(self) -> Ping:
        """Ask, and again after a moment: one broken connection is no reason to do nothing."""
        pacing = self._pacing(self.wiring.windows(self.state))
        clock = self.wiring.clock
        for pause in PING_PAUSES:
            try:
                return within_budget("ping", self._asked, self.state, clock, pacing)
            except MeisaUnavailable:
                clock.sleep(pause)
        return within_budget("ping", self._asked, self.state, clock, pacing)

    def _asked(self) -> Ping:
        try:
            return self.meisa.ping()
        except MeisaUnavailable as error:
            where = self.wiring.settings.meisa.base_url
            raise MeisaUnavailable(error.message, hint=f"It was asked at {where}.") from error

    def terms(self, mappings: Iterable[Mapping]) -> "KeyTerms":
        """Ask about the key, and return what it grants these mappings; raises as `ping`."""
        ping = self.ping()
        return KeyTerms(
            windows=self.wiring.terms().windows(ping), lacks=self.wiring.lacking(ping, mappings)
        )

    def windows(self) -> tuple[Window, ...]:
        """Return the request windows left to us, as Meisa reports them; raises as `ping`."""
        return self.wiring.terms().windows(self.ping())

    def pull(
        self, windows: tuple[Window, ...], approve: str = ""
    ) -> tuple[SuppressionResult | None, str]:
        """Pull the suppression list; return what it did, and what went wrong or an empty text."""
        from meisa_cdc.suppress import pull

        clock = self.wiring.clock
        try:
            result = pull(
                self.meisa,
                self.wiring.suppression_table(),
                self.state,
                clock,
                pacing=self._pacing(windows),
                max_release=self.wiring.settings.suppression.max_release,
                approve=approve,
            )
        except RetryLater as error:
            return None, str(error)
        pulled = {
            "count": result.count,
            "as_of": result.as_of,
            "pulled_at": clock.now(),
            "held": result.held,
            "digest": result.digest,
        }
        self.state.set_note(SUPPRESSIONS, pulled)
        return result, ""

    def tidy(self) -> None:
        """Forget what nobody looks up any more."""
        self.state.prune(self.wiring.clock.now() - KEPT)

    def _pacing(self, windows: tuple[Window, ...]) -> Pacing:
        return Pacing(windows=windows, timeout=self.wiring.settings.meisa.timeout)
