"""Breaks each safety rule in a private copy of the checkout and sees a test go red.

`python -m tests.mutations` tries all of them, `python -m tests.mutations intent late` those whose
names contain one of the words. Ends with 1 where a rule can be broken unnoticed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.mutations.rule import Rule
from tests.mutations.rules import RULES

ROOT = Path(__file__).parents[2]
#: What a copy needs to run tests.
PARTS = ("meisa_cdc", "migrations", "mappings", "tests", "pyproject.toml")
#: Copies that are tried at a time.
AT_ONCE = 2
#: Seconds that the tests of one rule may take; whether they would have failed is unknown then.
PATIENCE = 300.0
TESTS_FAILED, TIMED_OUT = 1, 124


@contextmanager
def checkout() -> Iterator[Path]:
    """Yield a copy of the checkout that nobody else sees."""
    with tempfile.TemporaryDirectory(prefix="meisa-cdc-mutation-") as folder:
        copy = Path(folder)
        for part in PARTS:
            if (ROOT / part).is_dir():
                ignored = shutil.ignore_patterns("__pycache__")
                shutil.copytree(ROOT / part, copy / part, ignore=ignored)
            else:
                shutil.copy2(ROOT / part, copy / part)
        yield copy


def run(copy: Path, tests: Sequence[str]) -> int:
    """Run tests of a copy up to the first that fails; return pytest's exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            command,
            cwd=copy,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return TIMED_OUT
    return done.returncode


def verdict(rule: Rule) -> str:
    """Return `red` where a test noticed, else what went wrong."""
    with checkout() as copy:
        path = copy / rule.file
        try:
            text = rule.broken(path.read_text(encoding="utf-8"))
        except LookupError as error:
            return f"NOT FOUND: {error}"
        path.write_text(text, encoding="utf-8")
        code = run(copy, rule.tests)
    if code == 0:
        return "SURVIVED"
    return "red" if code == TESTS_FAILED else f"NOT RUN: pytest ended with {code}"


def main(words: Sequence[str]) -> int:
    """Try the rules whose names contain one of the words, or all; return the exit code."""
    rules = [each for each in RULES if not words or any(word in each.name for word in words)]
    with checkout() as copy:
        if run(copy, sorted({test for each in rules for test in each.tests})) != 0:
            say("The tests fail without any rule being broken; mend that first.")
            return 1
    failures = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for rule, found in zip(rules, pool.map(verdict, rules), strict=True):
            say(f"{rule.name} -> {found}")
            failures += found != "red"
    say(f"{len(rules)} rules, {failures} of them not guarded")
    return 1 if failures else 0


def say(line: str) -> None:
    """Write a line of the report."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
