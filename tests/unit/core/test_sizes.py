"""Amounts of bytes, as people write them."""

import pytest

from meisa_cdc.core.sizes import parse_size, told_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("512MB", 512_000_000), ("1.5 GB", 1_500_000_000), (" 3kB ", 3000), ("2TB", 2 * 10**12)],
)
def test_sizes_are_read(text: str, size: int):
    """With a unit, perhaps a fraction."""
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "12", "GB", "-1GB", "1gb", "1 G B", "1,5GB", "1GBx"])
def test_what_is_no_size_is_refused(text: str):
    """With an example of one."""
    with pytest.raises(ValueError, match="write 512MB or 2GB"):
        parse_size(text)


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1 kB"), (1_234_567, "1.23 MB"), (10**12, "1 TB")],
)
def test_sizes_are_told_in_the_largest_unit_they_fill(size: int, text: str):
    """With three digits."""
    assert told_size(size) == text
