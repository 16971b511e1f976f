"""Looks for contacts that are missed: `python -m tests.soundness [CHECKS [SEED]]`.

Half of the checks go to the mappings written by hand, half to invented ones, new with each round.
Ends with 1 at the first contact that was missed, and tells what to run to see it again.
"""

import sys
import time
from collections.abc import Iterator, Sequence

import psycopg

from tests.databases import postgres, servers
from tests.soundness.grammar import Grammar
from tests.soundness.running import Missed, Soundness, Tally, usable
from tests.soundness.shapes import SHAPES

CHECKS, ROUND = 100_000, 2_000
#: Invented mappings of a round.
INVENTED = 60


def rounds(connection: psycopg.Connection, checks: int, seed: int) -> Iterator[Tally]:
    """Yield what came of each round. Raises Missed."""
    done = 0
    while done < checks:
        for mappings in (SHAPES, usable(connection, Grammar(seed), INVENTED)):
            try:
                tally = Soundness(connection, mappings, seed).run(min(ROUND, checks - done))
            except Missed:
                say(f"missed; again by: python -m tests.soundness {2 * ROUND} {seed}")
                raise
            done += tally.checks
            yield tally
        seed += 1


def main(arguments: Sequence[str]) -> int:
    """Run and print; return the exit code."""
    checks, seed = (int(each) for each in (*arguments, *(str(CHECKS), "1")[len(arguments) :]))
    total, started = Tally(), time.monotonic()
    with (
        servers.first_that_starts(postgres.routes()) as server,
        postgres.new_database(server) as url,
        psycopg.connect(
            url.set(drivername="postgresql").render_as_string(hide_password=False),
            autocommit=True,
        ) as connection,
    ):
        try:
            for tally in rounds(connection, checks, seed):
                total.add(tally)
                say(f"{time.monotonic() - started:6.0f} s  {total}")
        except Missed as error:
            say(str(error))
            return 1
    return 0


def say(line: str) -> None:
    """Write a line of the report."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
