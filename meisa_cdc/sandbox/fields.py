"""Which fields a body may carry and what each must be; nothing undocumented passes."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from meisa_cdc.sandbox.errors import Refusal

_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s.\x00-\x1f]+(\.[^@\s.\x00-\x1f]+)+")

#: What is wrong with a value, as the end of "`field` must …"; None if nothing is.
Check = Callable[[object], str | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One documented field of a request body."""

    #: key in the JSON object
    name: str
    #: what its value must be
    check: Check
    #: whether a body without it is refused
    required: bool = False


def text(value: object) -> str | None:
    """Any string."""
    return None if isinstance(value, str) else "be a string"


def identifier(value: object) -> str | None:
    """A string that is not blank."""
    return None if isinstance(value, str) and value.strip() else "be a string that is not blank"


def email_address(value: object) -> str | None:
    """A string that looks like an e-mail address, without blanks around it."""
    if isinstance(value, str) and _EMAIL.fullmatch(value):
        return None
    return "be an e-mail address"


def json_object(value: object) -> str | None:
    """An object with any keys and values."""
    return None if isinstance(value, dict) else "be an object"


def identifiers(value: object) -> str | None:
    """A list of strings that are not blank."""
    if isinstance(value, list) and all(identifier(item) is None for item in value):
        return None
    return "be a list of strings that are not blank"


def one_of(*words: str) -> Check:
    """One of these strings."""

    def check(value: object) -> str | None:
        return None if value in words else f"be one of {', '.join(words)}"

    return check


def check_body(fields: Sequence[Field], content_type: str, document: object) -> Mapping[str, Any]:
    """The body's fields, each as declared; `document` is its JSON, None if it is none.

    Raises Refusal (400) naming the field at fault.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, "Content-Type must be application/json.")
    if not isinstance(document, dict):
        raise Refusal(400, "The body must be a JSON object.")
    declared = {field.name: field for field in fields}
    for name, value in document.items():
        if name not in declared:
            raise Refusal(
                400,
                f"There is no field {name!r} here; there are {', '.join(declared)}.",
                field=name,
            )
        wrong = declared[name].check(value)
        if wrong is not None:
            raise Refusal(400, f"{name} must {wrong}.", field=name)
    for field in fields:
        if field.required and field.name not in document:
            raise Refusal(400, f"{field.name} is required.", field=field.name)
    return document
