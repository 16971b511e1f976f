"""One installation as a user has it: app database, mappings, settings, sandbox, programs."""

from tests.installation.cycle import LATER, deliver
from tests.installation.place import IDENTITY, PLAN, Installation, Person, people
from tests.installation.program import PROMISE, Program, until
from tests.installation.traffic import UPSERT, most_within, needless, upserts

__all__ = [
    "IDENTITY",
    "LATER",
    "PLAN",
    "PROMISE",
    "UPSERT",
    "Installation",
    "Person",
    "Program",
    "deliver",
    "most_within",
    "needless",
    "people",
    "until",
    "upserts",
]
