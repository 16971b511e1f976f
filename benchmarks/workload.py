"""The app database that the benchmarks read, on a Postgres of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from tests.databases import postgres, servers

HERE = Path(__file__).parent
MAPPINGS = HERE / "mappings"


@contextmanager
def app_database(users: int) -> Iterator[str]:
    """Yield the SQLAlchemy URL of a filled database; it is gone afterwards."""
    with (
        servers.first_that_starts(postgres.routes()) as server,
        postgres.new_database(server, template=None) as url,
    ):
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        statements = (HERE / "workload.sql").read_text().replace(":users", str(users))
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statements.encode())
        yield url.render_as_string(hide_password=False)
