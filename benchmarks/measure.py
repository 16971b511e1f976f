"""One figure of the benchmarks, and what it is held to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure and what it should not exceed, or reach."""

    name: str
    value: float
    unit: str
    #: None: printed beside another, held to nothing.
    goal: float | None
    #: Whether the goal is the least that is wanted, not the most.
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the goal holds."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        if self.goal is None:
            return f"{self.name} {self.value:.3g} {self.unit}"
        sign = "≥" if self.at_least else "≤"
        return f"{self.name} {self.value:.3g} {self.unit} (goal {sign} {self.goal:g})"
