"""What the sandbox's log says about the requests it got."""

from collections.abc import Iterable, Sequence

from meisa_cdc.sandbox import Account, RequestRecord

UPSERT = "/contacts/upsert/"


def upserts(account: Account, since: int = 0) -> list[RequestRecord]:
    """Return the upserts after the request with that number, oldest first."""
    return [record for record in account.requests(since) if record.path.endswith(UPSERT)]


def needless(account: Account, since: int = 0) -> int:
    """Return how many upserts after that request were taken and changed nothing."""
    taken = {record.at for record in upserts(account, since) if record.status == 200}
    begun = min(taken, default=0.0)
    changes = ("contact_created", "contact_updated")
    effects = [t for t in account.triggers() if t.kind in changes and t.at >= begun]
    return sum(record.status == 200 for record in upserts(account, since)) - len(effects)


def most_within(starts: Iterable[float], period: float) -> int:
    """Return the most requests that arrived within any span of that many seconds."""
    moments: Sequence[float] = sorted(starts)
    most = first = 0
    for last, at in enumerate(moments):
        while moments[first] <= at - period:
            first += 1
        most = max(most, last - first + 1)
    return most
