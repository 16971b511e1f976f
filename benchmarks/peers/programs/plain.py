"""What one writes first: read everything, post everything, remember nothing.

In the environment: DATABASE, QUERY (a file), BASE_URL, API_KEY and THREADS.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from benchmarks.peers.programs.bodies import body

PAGE = 1000


def main() -> None:
    """Post the contacts of a page at once, then read the next."""
    threads = int(os.environ["THREADS"])
    headers = {"X-API-Key": os.environ["API_KEY"]}
    with (
        psycopg.connect(os.environ["DATABASE"], row_factory=dict_row) as connection,
        connection.cursor(name="contacts") as cursor,
        httpx.Client(base_url=os.environ["BASE_URL"], headers=headers, timeout=30.0) as client,
        ThreadPoolExecutor(threads) as pool,
    ):

        def post(row: dict[str, Any]) -> None:
            client.post("/contacts/upsert/", json=body(row)).raise_for_status()

        cursor.execute(Path(os.environ["QUERY"]).read_bytes())
        while rows := cursor.fetchmany(PAGE):
            list(pool.map(post, rows))


if __name__ == "__main__":
    main()
