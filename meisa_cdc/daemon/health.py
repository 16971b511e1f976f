"""Whether the daemon is alive and ready, for whoever asks over HTTP."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Any

#: The parts of the work that may have a problem.
START, PASS, DELIVERY, STATE = "start", "pass", "delivery", "state"


@dataclass(slots=True, kw_only=True)
class Health:
    """What the daemon's threads report and the web server tells."""

    #: `starting`, `standby`, `leading`, `stopping`.
    role: str = "starting"
    #: Who leads while we stand by.
    leader: str = ""
    #: Epoch seconds of the last pass that was stored since it leads.
    passed_at: float | None = None
    #: What does not work at present, by the part of the work it keeps from going on.
    problems: dict[str, str] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def become(self, role: str, leader: str = "") -> None:
        """Note the role; what was found in an earlier one no longer counts."""
        with self._lock:
            self.role, self.leader = role, leader
            self.passed_at = None
            self.problems = {START: "It has only just taken over."} if role == "leading" else {}

    def passed(self, now: float) -> None:
        """Note that a pass was stored."""
        with self._lock:
            self.passed_at = now

    def failed(self, part: str, problem: str) -> None:
        """Note what keeps a part of the work from going on."""
        with self._lock:
            self.problems[part] = problem

    def works(self, part: str) -> None:
        """Note that a part of the work goes on again."""
        with self._lock:
            self.problems.pop(part, None)

    def document(self) -> dict[str, Any]:
        """Return what /readyz says: ready is who stands by, or leads without a problem."""
        with self._lock:
            return {
                "ready": self.role == "standby" or (self.role == "leading" and not self.problems),
                "role": self.role,
                "leader": self.leader or None,
                "passed_at": self.passed_at,
                "problem": " ".join(self.problems.values()) or None,
            }
