"""`make bench`: prints a line a measure and writes benchmarks/results.json."""

import argparse
import json
import tempfile
from pathlib import Path

from benchmarks import memory


def main() -> int:
    """Run the benchmarks; return 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    parser.add_argument("--users", type=int, default=200_000, help="contacts of the first load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="meisa-cdc-bench-") as folder:
        measures = memory.measure(Path(folder), options.users)
    missed = 0
    for measure in measures:
        met = measure.value <= measure.goal
        missed += not met
        print(f"{measure.name} {measure.value:.0f} {measure.unit} (goal ≤ {measure.goal:.0f})")
    results = {m.name: {"value": m.value, "unit": m.unit, "goal": m.goal} for m in measures}
    target = Path(__file__).parent / "results.json"
    target.write_text(json.dumps({"users": options.users, "measures": results}, indent=2) + "\n")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
