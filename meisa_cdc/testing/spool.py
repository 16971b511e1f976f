"""A pass's observations in a dictionary."""

from collections.abc import Iterator, Sequence

from meisa_cdc.core.contact import Claim, Staged

PAGE = 1000


class MemorySpool:
    """`ports.Spool` in memory."""

    def __init__(self) -> None:
        self._staged: dict[str, dict[str, Staged]] = {}
        self._emails: dict[tuple[str, str], str] = {}
        self._touched: set[str] = set()

    def put(self, mapping: str, entries: Sequence[tuple[str, Staged, str]]) -> None:
        """Add (key, observation, email_key or '') entries of one mapping."""
        for key, staged, email in entries:
            first = self._staged.setdefault(mapping, {}).setdefault(key, staged)
            if first is staged:
                self._emails[mapping, key] = email
            elif not first.duplicate:
                both = f"the key occurs more than once: {first.values} and {staged.values}"
                self._staged[mapping][key] = first._replace(duplicate=both)

    def touch(self, keys: Sequence[str]) -> None:
        """Make sure these keys are looked at."""
        self._touched.update(keys)

    def drop(self, mapping: str) -> None:
        """Forget everything of one mapping."""
        self._staged.pop(mapping, None)

    def having(self, mapping: str, keys: Sequence[str]) -> set[str]:
        """Return those of the keys for which the mapping has a row here."""
        return {key for key in keys if key in self._of(mapping) and self._of(mapping)[key].row}

    def new_keys(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of keys of the mapping's rows whose contact had no row before."""
        rows = self._of(mapping).items()
        yield from _pages([key for key, staged in rows if staged.row and not staged.had_row])

    def claims(self, mapping: str, email_keys: Sequence[str]) -> list[Claim]:
        """Return the contacts observed with these addresses in this pass."""
        found = sorted((self._emails[mapping, key], key) for key in self._of(mapping))
        return [
            Claim(external_id=key, email_key=email, holds=False, observes=True)
            for email, key in found
            if email and email in email_keys
        ]

    def addresses(self, mapping: str, keys: Sequence[str]) -> dict[str, str]:
        """Return the case-folded addresses that these contacts were observed with in this pass."""
        found = {key: self._emails[mapping, key] for key in keys if key in self._of(mapping)}
        return {key: email for key, email in found.items() if email}

    def emails(self, mapping: str) -> Iterator[Sequence[str]]:
        """Yield batches of the distinct case-folded addresses seen in this pass."""
        found = {self._emails[mapping, key] for key in self._of(mapping)}
        yield from _pages(list(found - {""}))

    def contacts(self, size: int = 500) -> Iterator[Sequence[tuple[str, dict[str, Staged]]]]:
        """Yield batches of (key, observation by mapping) in code point order of the keys."""
        for keys in _pages([*self._touched.union(*self._staged.values())], size):
            yield [
                (key, {name: rows[key] for name, rows in self._staged.items() if key in rows})
                for key in keys
            ]

    def close(self) -> None:
        """Delete everything."""
        self._staged.clear()
        self._emails.clear()
        self._touched.clear()

    def _of(self, mapping: str) -> dict[str, Staged]:
        return self._staged.get(mapping, {})


def _pages(values: list[str], size: int = PAGE) -> Iterator[Sequence[str]]:
    values.sort()
    for start in range(0, len(values), size):
        yield values[start : start + size]
