"""The job as a dlt pipeline with a custom destination; the environment is that of plain.py."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import httpx
import psycopg
from psycopg.rows import dict_row

from benchmarks.peers.programs.bodies import body

PAGE = 1000
BATCH = 100


def contacts() -> Iterator[list[dict[str, Any]]]:
    """Yield the contacts, a page at a time."""
    with (
        psycopg.connect(os.environ["DATABASE"], row_factory=dict_row) as connection,
        connection.cursor(name="contacts") as cursor,
    ):
        cursor.execute(Path(os.environ["QUERY"]).read_bytes())
        while rows := cursor.fetchmany(PAGE):
            yield rows


def main() -> None:
    """Run the pipeline; the destination is called in as many threads as there are files."""
    headers = {"X-API-Key": os.environ["API_KEY"]}
    with httpx.Client(base_url=os.environ["BASE_URL"], headers=headers, timeout=30.0) as client:

        def meisa(items: list[dict[str, Any]], _table: dict[str, Any]) -> None:
            for row in items:
                client.post("/contacts/upsert/", json=body(row)).raise_for_status()

        destination = dlt.destination(
            meisa,
            batch_size=BATCH,
            max_parallel_load_jobs=int(os.environ["THREADS"]),
            loader_parallelism_strategy="parallel",
        )
        pipeline = dlt.pipeline("contacts", destination=destination, pipelines_dir=str(Path.cwd()))
        pipeline.run(dlt.resource(contacts, name="contacts", max_table_nesting=0))


if __name__ == "__main__":
    main()
