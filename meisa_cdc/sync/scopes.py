"""What the key must be allowed to do for these mappings, and what of that it is not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from meisa_cdc.core.mapping import EMAILS, EVENTS, SEQUENCES, Mapping

WRITE, READ = "contacts:write", "contacts:read"
#: Of each kind of occurrence, the scope that its requests need.
KINDS = {EVENTS: "events:track", EMAILS: "emails:trigger", SEQUENCES: "sequences:enroll"}
#: Lets us look whether a sequence exists; nothing that is sent needs it.
SEQUENCES_READ = "sequences:read"
SUPPRESSIONS = "the suppression list"
ADVICE = "Add it under Settings → API Keys in Meisa."
#: Mappings that are named.
MOST_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Lack:
    """A scope that the key has not."""

    scope: str
    #: The names of the mappings that need it, and the suppression list.
    needed_by: Sequence[str]

    def __str__(self) -> str:
        named = list(self.needed_by[:MOST_NAMED])
        more = len(self.needed_by) - len(named)
        if more:
            named.append(f"{more} more")
        told = " and ".join([", ".join(named[:-1]), named[-1]]) if named[1:] else named[0]
        need = "need" if named[1:] else "needs"
        return f"The API key lacks the scope {self.scope}, which {told} {need}."


def needs(mappings: Iterable[Mapping], *, emails: bool) -> dict[str, list[str]]:
    """Return who needs each scope; `emails` tells whether e-mails are sent at all."""
    needed: dict[str, list[str]] = {WRITE: [], READ: [SUPPRESSIONS]}
    for mapping in sorted(mappings, key=lambda each: each.name):
        if not mapping.enabled or (mapping.kind == EMAILS and not emails):
            continue
        needed.setdefault(KINDS.get(mapping.kind, WRITE), []).append(mapping.name)
        if mapping.kind == EMAILS:
            # Nobody is written to before a list was pulled.
            needed[READ].append(mapping.name)
    return {scope: names for scope, names in needed.items() if names}


def lacking(
    granted: Sequence[str] | None, mappings: Iterable[Mapping], *, emails: bool
) -> tuple[Lack, ...]:
    """Return the scopes that are needed and not granted; none where Meisa does not tell."""
    if granted is None:
        return ()
    needed = needs(mappings, emails=emails)
    return tuple(
        Lack(scope=scope, needed_by=names)
        for scope, names in needed.items()
        if scope not in granted
    )


def lack_of(scope: str, lacks: Iterable[Lack]) -> Lack | None:
    """Return the lack of this scope, if it is one of them."""
    return next((each for each in lacks if each.scope == scope), None)
