"""Amounts as people write them."""


def amount(count: int, one: str) -> str:
    """Return `1 contact`, or `2,000 contacts`: a count of what has a regular plural."""
    return f"{count:,} {one if count == 1 else f'{one}s'}"
