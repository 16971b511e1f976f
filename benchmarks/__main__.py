"""`make bench`: prints a line a measure and writes benchmarks/results.json."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import detection, memory, push, start
from benchmarks.measures import Measure
from benchmarks.simulation import report

RESULTS = Path(__file__).parent / "results.json"
EVERY = DETECTION, MEMORY, PUSH, SIMULATION, START = (
    "detection",
    "memory",
    "push",
    "simulation",
    "start",
)


def main() -> int:
    """Run the benchmarks; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", nargs="*", help=f"{', '.join(EVERY)}; all of them if none")
    parser.add_argument("--users", type=int, default=200_000, help="contacts of the first load")
    parser.add_argument("--days", type=float, default=7.0, help="days of overload to simulate")
    parser.add_argument("--repeats", type=int, default=5, help="runs that a median is of")
    parser.add_argument("--first-captures", type=int, default=1, help="the same of first loads")
    options = parser.parse_args()
    unknown = set(options.what) - set(EVERY)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    what = options.what or EVERY
    measures: list[Measure] = []
    extra: dict[str, Any] = {}
    if SIMULATION in what:
        runs = report.run(days=options.days)
        print(*report.table(runs), sep="\n", end="\n\n")
        measures += report.measures(runs)
        extra["simulation"] = [asdict(each) | asdict(runs[each]) for each in runs]
    if PUSH in what:
        with tempfile.TemporaryDirectory(prefix="meisa-cdc-bench-") as folder:
            measures += push.measure(Path(folder))
    if START in what:
        measures += start.measure(options.repeats)
    if DETECTION in what:
        with tempfile.TemporaryDirectory(prefix="meisa-cdc-bench-") as folder:
            measures += detection.measure(
                Path(folder),
                options.users,
                repeats=options.repeats,
                first_captures=options.first_captures,
            )
    if MEMORY in what:
        with tempfile.TemporaryDirectory(prefix="meisa-cdc-bench-") as folder:
            measures += memory.measure(Path(folder), options.users)
        extra["users"] = options.users
    print(*measures, sep="\n")
    _write(measures, extra)
    return 0 if all(measure.met for measure in measures) else 1


def _write(measures: Sequence[Measure], extra: dict[str, Any]) -> None:
    """Write the results; those of benchmarks that were not run stay."""
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    known = results.get("measures", {})
    new = {
        each.name: {"value": each.value, "unit": each.unit, "goal": each.goal} for each in measures
    }
    results |= {**extra, "measures": {**known, **new}}
    RESULTS.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
