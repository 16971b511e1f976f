"""What `meisa-cdc check` looks at in Meisa: the key, its scopes, the sequences."""

from collections.abc import Iterator, Mapping as Dict, Sequence
from typing import TYPE_CHECKING

from meisa_cdc.cli.finding import Finding
from meisa_cdc.cli.selection import valid
from meisa_cdc.core.errors import MeisaCdcError
from meisa_cdc.core.mapping import SEQUENCES
from meisa_cdc.core.occurrence import SLUG

if TYPE_CHECKING:
    from meisa_cdc.core.mapping import Mapping
    from meisa_cdc.ports import Ping, Snapshot
    from meisa_cdc.wiring import Remote, Wiring

#: From this reserve on the key is not taken for one of our own.
OWN_KEY = 0.0
ACTIVE = "active"


def look_at_meisa(wiring: "Wiring") -> Iterator[Finding]:
    """Yield what Meisa says of the key, and of what the mappings need over there."""
    from meisa_cdc.wiring import Remote

    with wiring.meisa() as meisa, wiring.state_to_write() as state:
        remote = Remote(wiring=wiring, state=state, meisa=meisa)
        ping = remote.ping()
        yield _limits(wiring, ping)
        mappings = [each for each in valid(wiring).values() if each.enabled]
        for lack in wiring.lacking(ping, mappings):
            yield Finding(what="Meisa", verdict="failed", text=str(lack))
        enrolling = [each for each in mappings if each.kind == SEQUENCES]
        if enrolling:
            yield from _sequences(wiring, remote, ping.scopes, enrolling)
    if wiring.settings.meisa.reserve > OWN_KEY:
        yield Finding(
            what="Meisa",
            verdict="note",
            text=f"{wiring.settings.meisa.reserve:.0%} of every window is left to other users of "
            "the key; with a key of our own, set meisa.reserve to 0%",
        )


def _limits(wiring: "Wiring", ping: "Ping") -> Finding:
    windows = wiring.terms().windows(ping)
    limits = ", ".join(f"{window.count} in {window.period:g} s" for window in windows)
    return Finding(
        what="Meisa",
        verdict="ok",
        text=f"{ping.product_name or ping.product} ({ping.environment}); requests for us: {limits}",
    )


def _sequences(
    wiring: "Wiring",
    remote: "Remote",
    scopes: "Sequence[str] | None",
    mappings: "Sequence[Mapping]",
) -> Iterator[Finding]:
    from meisa_cdc.sync.scopes import SEQUENCES_READ

    if scopes is not None and SEQUENCES_READ not in scopes:
        named = ", ".join(each.name for each in mappings)
        yield Finding(
            what="Meisa",
            verdict="note",
            text=f"the key lacks the scope {SEQUENCES_READ}, so that nobody can look whether the "
            f"sequences of {named} exist and are active",
        )
        return
    statuses = remote.sequence_statuses()
    with wiring.source().snapshot() as snapshot:
        for mapping in mappings:
            try:
                yield from _slugs(mapping, snapshot, statuses)
            except MeisaCdcError:
                # What is wrong with the mapping itself was told where mappings are looked at.
                continue


def _slugs(mapping: "Mapping", snapshot: "Snapshot", statuses: Dict[str, str]) -> Iterator[Finding]:
    """Yield a line for each sequence that the rows of a mapping name."""
    columns = [column.name for column in snapshot.columns(mapping)]
    if SLUG not in columns:
        return
    place = columns.index(SLUG)
    # Rows without one are invalid, which a plan tells.
    named = (row[place] for batch in snapshot.read(mapping) for row in batch)
    slugs = {slug.strip() for slug in named if isinstance(slug, str) and slug.strip()}
    if not slugs:
        text = "no rows yet, so that the sequence is not known; look again once there are some"
        yield Finding(what=mapping.name, verdict="note", text=text)
    for slug in sorted(slugs):
        status = statuses.get(slug)
        if status is None:
            known = ", ".join(sorted(statuses)) or "none"
            text = f"Meisa has no sequence {slug!r}; there are: {known}"
        elif status != ACTIVE:
            text = f"the sequence {slug} is {status}: activate it in Meisa"
        else:
            text = f"the sequence {slug} is active"
        verdict = "ok" if status == ACTIVE else "failed"
        yield Finding(what=mapping.name, verdict=verdict, text=text)
