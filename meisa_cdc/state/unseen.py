"""The refs that a bitmap lacks."""

import re
from collections.abc import Iterator, Sequence

_NOT_FULL = re.compile(rb"[^\xff]", re.DOTALL)


def gaps(seen: bytearray, last: int, size: int) -> Iterator[Sequence[int]]:
    """Yield batches of about `size` refs from 1 to `last` whose bit is not set, in order.

    Bytes in which every bit is set, nearly all after a quiet pass, are skipped at once.
    """
    batch: list[int] = []
    known = bytes(seen[: last // 8 + 1]).ljust(last // 8 + 1, b"\x00")
    for found in _NOT_FULL.finditer(known):
        byte, first = found.group()[0], found.start() * 8
        refs = (first + bit for bit in range(8) if not byte >> bit & 1)
        batch.extend(ref for ref in refs if 1 <= ref <= last)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch
