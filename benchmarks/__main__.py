"""`make bench`: prints a line a measure and writes benchmarks/results.json."""

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks import detection, following, memory, push, start
from benchmarks.measures import Measure
from benchmarks.peers import comparing
from benchmarks.simulation import report

RESULTS = Path(__file__).parent / "results.json"
PEERS = "peers"

#: Measures, and what is written beside them.
Found: TypeAlias = tuple[list[Measure], dict[str, Any]]


def main() -> int:
    """Run the benchmarks; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("what", nargs="*", help=f"{', '.join(EVERY)}; all but {PEERS} if none")
    parser.add_argument("--users", type=int, default=200_000, help="contacts of the first load")
    parser.add_argument("--days", type=float, default=7.0, help="days of overload to simulate")
    parser.add_argument("--repeats", type=int, default=5, help="runs that a median is of")
    parser.add_argument("--first-captures", type=int, default=1, help="the same of first loads")
    parser.add_argument("--contacts", type=int, default=20_000, help="what peers load")
    options = parser.parse_args()
    unknown = set(options.what) - set(EVERY)
    if unknown:
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}")
    what = options.what or [name for name in EVERY if name != PEERS]
    measures: list[Measure] = []
    extra: dict[str, Any] = {}
    for name in (each for each in EVERY if each in what):
        found, beside = EVERY[name](options)
        measures += found
        extra |= beside
    print(*measures, sep="\n")
    _write(measures, extra)
    return 0 if all(measure.met for measure in measures) else 1


def _simulation(options: argparse.Namespace) -> Found:
    runs = report.run(days=options.days)
    print(*report.table(runs), sep="\n", end="\n\n")
    simulated = [asdict(each) | asdict(runs[each]) for each in runs]
    return report.measures(runs), {"simulation": simulated}


def _push(_options: argparse.Namespace) -> Found:
    with _folder() as folder:
        return push.measure(folder), {}


def _start(options: argparse.Namespace) -> Found:
    return start.measure(options.repeats), {}


def _detection(options: argparse.Namespace) -> Found:
    with _folder() as folder:
        found = detection.measure(
            folder,
            options.users,
            repeats=options.repeats,
            first_captures=options.first_captures,
        )
    return found, {}


def _following(options: argparse.Namespace) -> Found:
    with _folder() as folder:
        return following.measure(folder, options.users, repeats=options.repeats), {}


def _memory(options: argparse.Namespace) -> Found:
    with _folder() as folder:
        return memory.measure(folder, options.users), {"users": options.users}


def _peers(options: argparse.Namespace) -> Found:
    with _folder() as folder:
        found, beside = comparing.measure(folder, options.contacts, repeats=options.repeats)
    return found, {PEERS: beside}


#: In the order in which they are run.
EVERY: Mapping[str, Callable[[argparse.Namespace], Found]] = {
    "simulation": _simulation,
    "push": _push,
    "start": _start,
    "detection": _detection,
    "following": _following,
    "memory": _memory,
    PEERS: _peers,
}


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="meisa-cdc-bench-") as folder:
        yield Path(folder)


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
