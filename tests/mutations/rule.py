"""A rule that data is safe by."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A rule that data is safe by, and how to break it."""

    name: str
    #: Path from the top of the checkout.
    file: str
    #: The text that keeps the rule; it occurs once.
    old: str
    #: What breaks it.
    new: str
    #: Tests, as pytest takes them, of which one has to fail.
    tests: tuple[str, ...]

    def broken(self, text: str) -> str:
        """Return the file's text with the rule broken. Raises LookupError if it does not fit."""
        found = text.count(self.old)
        if found != 1:
            message = f"its text occurs {found} times in {self.file}"
            raise LookupError(message)
        return text.replace(self.old, self.new)
