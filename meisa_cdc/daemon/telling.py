"""What the daemon tells of its work: in its log, and to who asks how it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Protocol

from meisa_cdc.core.breaker import Breaker
from meisa_cdc.core.occurrence import Status
from meisa_cdc.core.outcome import Kind
from meisa_cdc.daemon.health import DELIVERY, Health
from meisa_cdc.sync.judging import Held
from meisa_cdc.sync.once import halted_because
from meisa_cdc.sync.passes import Look
from meisa_cdc.sync.push import Push


class Log(Protocol):
    """Where the daemon tells what it does."""

    def info(self, event: str, **values: Any) -> Any:
        """Tell what happened."""

    def warning(self, event: str, **values: Any) -> Any:
        """Tell what somebody should look at."""

    def error(self, event: str, **values: Any) -> Any:
        """Tell what failed."""


@dataclass(slots=True, kw_only=True)
class Telling:
    """Remembers what was told, so that only news is."""

    log: Log
    health: Health
    push: Push
    #: Answers that were of use so far.
    _useful: int = 0
    #: Why deliveries were halted when that was told last; None while they go on.
    _halted: Breaker | None = None
    #: What the key may not do, as it was told last.
    _refused: list[str] = field(default_factory=list)
    #: Occurrences of this process that a person has to decide about.
    _undecided: dict[Status, int] = field(
        default_factory=lambda: {Status.PARKED: 0, Status.REJECTED: 0}
    )

    def looked(self, look: Look, held: Iterable[Held], seconds: float) -> None:
        """Tell of a pass that took so many seconds, and of what it held back."""
        plan = look.plan
        for message in plan.failures.values():
            self.log.error("mapping failed", error=message)
        for each in held:
            self.log.warning(
                "held until approved",
                mapping=each.hold.mapping,
                reason=each.hold.reason,
                message=each.hold.message,
            )
        self.log.info(
            "pass",
            mappings=sorted(look.captured.complete),
            create=plan.summary.create,
            update=plan.summary.update,
            invalid=plan.summary.invalid,
            seconds=round(seconds, 3),
        )

    def stepped(self) -> None:
        """Tell what is new about deliveries after a step of them."""
        self._note_success()
        self._note_halt()
        self._note_occurrences()

    def _note_success(self) -> None:
        useful = (
            self.push.deliveries.outcomes[Kind.ACCEPTED]
            + self.push.deliveries.outcomes[Kind.REJECTED]
        )
        if useful != self._useful:
            self._useful = useful
            self.health.works(DELIVERY)

    def _note_halt(self) -> None:
        """Tell once of each time that deliveries were halted, or a try turned out in vain."""
        breaker = self.push.breaker
        if breaker.halted and breaker != self._halted:
            problem = halted_because(breaker)
            self.log.error("delivery stopped", error=problem, next_probe=breaker.next_probe)
            self.health.failed(DELIVERY, problem)
        self._halted = breaker if breaker.halted else None

    def _note_occurrences(self) -> None:
        """Tell once of each kind that the key may not do, and of what waits for a person."""
        problems = self.push.once.problems()
        for problem in problems:
            if problem not in self._refused:
                self.log.error("refused", error=problem)
        self._refused = problems
        left = {s: self.push.once.outcomes[s] for s in (Status.PARKED, Status.REJECTED)}
        if left != self._undecided:
            self._undecided = left
            self.log.warning(
                "for you to decide, see meisa-cdc events",
                **{str(status): count for status, count in left.items()},
            )
