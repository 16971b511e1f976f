"""Something to put into a state, and programs of other processes that work on one."""

import os
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Connection, create_engine

from meisa_cdc.core.contact import Contact, Observation
from meisa_cdc.core.delivery import Request, intend, request_for
from meisa_cdc.ports import State
from meisa_cdc.records import Grant, Settled

ROOT = Path(__file__).parents[3]
CONTACTS = 300


def fill(state: State, first: int = 0) -> list[str]:
    """Store contacts that wait to be delivered; return their keys."""
    keys = [f"{number:05}" for number in range(first, first + CONTACTS)]
    state.settle(keys, waiting, now=1.0)
    return keys


def waiting(key: str, known: Contact | None) -> Settled:
    """Decide that a contact waits to be created."""
    fresh = known or Contact(external_id=key)
    pending = {"email": f"{key}@example.com", "custom_fields.note": "x" * 200}
    contact = Contact(external_id=key, ref=fresh.ref, pending=pending, rank=1, since=1.0)
    return Settled(
        contact=contact, observed={"contacts/identity": Observation(key.encode(), row=True)}
    )


def intent(contact: Contact) -> tuple[Contact, Request]:
    """Put what is pending in doubt, and return the request for it."""
    request = request_for(contact)
    return intend(contact, request), request


def start(state: State, key: str) -> Grant | None:
    """Start a delivery."""
    grants = state.grant_deliveries(
        [key], now=10.0, deadline=40.0, admit=lambda _: (11.0,), intend=intent
    )
    return grants[0] if grants else None


def statement(url: str, text: str) -> list:
    """Run one statement behind the state's back; return what it yields."""
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            return _rows(connection, text)
    finally:
        engine.dispose()


def _rows(connection: Connection, text: str) -> list:
    result = connection.exec_driver_sql(text)
    return [tuple(row) for row in result] if result.returns_rows else []


def run(script: str, *arguments: str) -> int:
    """Run a Python program to its end; return its exit code, -9 where it was killed."""
    with process(script, *arguments) as running:
        running.communicate(timeout=60)
    return running.returncode


def process(script: str, *arguments: str) -> subprocess.Popen[str]:
    """Start a Python program in a process of its own; `arguments` are its sys.argv[1:]."""
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        cwd=ROOT,
        env=dict(os.environ) | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
