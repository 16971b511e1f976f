"""What `meisa-cdc check` says of one thing."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at."""

    #: `settings`, `app database`, `contacts/plan`, …
    what: str
    #: `ok`, `note` or `failed`.
    verdict: str
    #: What was seen, or what to do.
    text: str
