"""`make bench`: prints a line a measure and writes benchmarks/results.json."""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import memory, push


def main() -> int:
    """Run the benchmarks; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--users", type=int, default=200_000, help="contacts of the first load")
    parser.add_argument("--push", action="store_true", help="the requests a second alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="meisa-cdc-bench-") as folder:
        measures = push.measure(Path(folder))
        if not options.push:
            measures += memory.measure(Path(folder), options.users)
    for measure in measures:
        print(measure)
    results = {m.name: {"value": m.value, "unit": m.unit, "goal": m.goal} for m in measures}
    target = Path(__file__).parent / "results.json"
    target.write_text(json.dumps({"users": options.users, "measures": results}, indent=2) + "\n")
    return 0 if all(measure.met for measure in measures) else 1


if __name__ == "__main__":
    raise SystemExit(main())
