"""SQLite: the statements that make a log of changed rows out of triggers."""

from collections.abc import Collection, Iterator, Mapping as Dict

from meisa_cdc.source.trigger_names import Names


def creation(names: Names, tables: Dict[str, Collection[str]], limit: int) -> Iterator[str]:
    """Yield the statements; `tables`: columns to tell of, by full name."""
    raise NotImplementedError


def removal(names: Names, tables: Collection[str]) -> Iterator[str]:
    """Yield the statements that leave nothing behind."""
    raise NotImplementedError
