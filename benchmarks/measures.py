"""One figure of a benchmark and the goal it is held against."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure and what it should not exceed."""

    name: str
    value: float
    #: Empty for a ratio.
    unit: str = ""
    #: None: printed beside another, held to nothing.
    goal: float | None = None
    #: The figure should reach the goal instead.
    at_least: bool = False
    #: Places after the point.
    digits: int = 0
    #: What to compare it with, in words.
    beside: str = ""

    @property
    def met(self) -> bool:
        """Whether the goal is reached."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.at_least else self.value <= self.goal

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        sign = "≥" if self.at_least else "≤"
        goal = "" if self.goal is None else f" (goal {sign} {self.goal:.{self.digits}f})"
        beside = f"  {self.beside}" if self.beside else ""
        return f"{self.name} {self.value:.{self.digits}f}{unit}{goal}{beside}"
