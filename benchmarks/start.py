"""Cold start: the help page over an interpreter that does nothing."""

import subprocess
import sys
import time
from statistics import median

from benchmarks.measures import Measure

GOAL = 8


def measure(repeats: int) -> list[Measure]:
    """Return the median ratio of runs that were measured one after the other."""
    ratios = [
        _seconds("-m", "meisa_cdc", "--help") / _seconds("-c", "pass") for _ in range(repeats)
    ]
    return [Measure(name="cold-start", value=median(ratios), goal=GOAL, digits=1)]


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started
