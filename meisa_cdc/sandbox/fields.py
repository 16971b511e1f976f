"""Which fields a request may carry and what each must be; nothing undocumented passes.

Each rule is a check and the same in JSON Schema, so that what is described is what is obeyed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from meisa_cdc.sandbox.errors import Refusal
from meisa_cdc.sandbox.options import SandboxOptions

# Control characters are excluded by number: which of them `\s` means differs between languages.
_CONTROL = r"\x00-\x1f\x7f-\x9f"
_LABEL = rf"[^@\s.{_CONTROL}]+"
_EMAIL = rf"^[^@\s{_CONTROL}]+@{_LABEL}(\.{_LABEL})+$"
_NOT_BLANK = rf"[^\s{_CONTROL}]"

#: A JSON Schema.
Schema = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rule:
    """What a value must be."""

    #: what is wrong with a value, as the end of "`field` must …"; None if nothing is
    check: Callable[[object], str | None]
    #: the same for programs
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One documented field of a request."""

    #: key in the JSON object, or in the query
    name: str
    #: what its value must be
    rule: Rule
    #: whether a request without it is refused
    required: bool = False
    #: the values that what people configured leaves, for the description; None: it has no say
    choices: Callable[[SandboxOptions], list[str]] | None = None

    def schema(self, options: SandboxOptions) -> Schema:
        """What its value must be, in this sandbox."""
        if self.choices is None:
            return self.rule.schema
        return {**self.rule.schema, "enum": self.choices(options)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """A JSON object that a request carries."""

    #: all that may be in it
    fields: tuple[Field, ...]
    #: of these fields at least one must be there
    any_of: tuple[str, ...] = ()
    #: of these fields exactly one must be there
    one_of: tuple[str, ...] = ()

    def schema(self, options: SandboxOptions) -> Schema:
        """The body in JSON Schema."""
        schema = dict(
            _object_schema(
                {field.name: field.schema(options) for field in self.fields}, self.fields
            )
        )
        for word, names in (("anyOf", self.any_of), ("oneOf", self.one_of)):
            if names:
                schema[word] = [{"required": [name]} for name in names]
        return schema


def _text(value: object) -> str | None:
    return None if isinstance(value, str) else "be a string"


def _identifier(value: object) -> str | None:
    if isinstance(value, str) and re.search(_NOT_BLANK, value):
        return None
    return "be a string that is not blank"


def _email(value: object) -> str | None:
    if isinstance(value, str) and re.fullmatch(_EMAIL, value):
        return None
    return "be an e-mail address"


def _object(value: object) -> str | None:
    return None if isinstance(value, dict) else "be an object"


def _flag(value: object) -> str | None:
    return None if isinstance(value, bool) else "be true or false"


def _identifiers(value: object) -> str | None:
    if isinstance(value, list) and all(_identifier(item) is None for item in value):
        return None
    return "be a list of strings that are not blank"


#: Any string.
TEXT = Rule(check=_text, schema={"type": "string"})
#: A string that is not blank.
IDENTIFIER = Rule(check=_identifier, schema={"type": "string", "pattern": _NOT_BLANK})
#: A string that looks like an e-mail address, without blanks around it.
EMAIL = Rule(check=_email, schema={"type": "string", "pattern": _EMAIL})
#: An object with any keys and values.
OBJECT = Rule(check=_object, schema={"type": "object"})
#: True or false.
FLAG = Rule(check=_flag, schema={"type": "boolean"})
#: A list of strings that are not blank.
IDENTIFIERS = Rule(check=_identifiers, schema={"type": "array", "items": IDENTIFIER.schema})


def one_of(*words: str) -> Rule:
    """One of these strings."""

    def check(value: object) -> str | None:
        return None if value in words else f"be one of {', '.join(words)}"

    return Rule(check=check, schema={"type": "string", "enum": list(words)})


def emails(most: int) -> Rule:
    """A list of e-mail addresses, at least one and at most so many."""

    def check(value: object) -> str | None:
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            return f"be a list of 1 to {most} e-mail addresses"
        wrong = [item for item in value if _email(item) is not None]
        return f"be a list of e-mail addresses; {wrong[0]!r} is none" if wrong else None

    return Rule(
        check=check,
        schema={"type": "array", "items": EMAIL.schema, "minItems": 1, "maxItems": most},
    )


def object_of(*fields: Field) -> Rule:
    """An object that may carry these fields and no others."""

    def check(value: object) -> str | None:
        if not isinstance(value, dict):
            return "be an object"
        try:
            check_fields(fields, value)
        except Refusal as refusal:
            return f"be right inside: {refusal}"
        return None

    properties = {field.name: field.rule.schema for field in fields}
    return Rule(check=check, schema=_object_schema(properties, fields))


def check_body(body: Body, content_type: str, document: object) -> Mapping[str, Any]:
    """The body's fields, each as declared; `document` is its JSON, None if it is none.

    Raises Refusal (400) naming the field at fault.
    """
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise Refusal(400, "Content-Type must be application/json.")
    if not isinstance(document, dict):
        raise Refusal(400, "The body must be a JSON object.")
    check_fields(body.fields, document)
    sent = [name for name in body.any_of or body.one_of if name in document]
    if body.any_of and not sent:
        raise Refusal(400, f"One of {' and '.join(body.any_of)} is required.", field=body.any_of[0])
    if body.one_of and len(sent) != 1:
        raise Refusal(
            400, f"Exactly one of {' and '.join(body.one_of)} is required.", field=body.one_of[0]
        )
    return document


def check_query(fields: Sequence[Field], query: str) -> Mapping[str, str]:
    """The query's parameters, each as declared. Raises Refusal (400) naming the one at fault."""
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name in parameters:
            raise Refusal(400, f"{name} is given more than once.", field=name)
        parameters[name] = value
    check_fields(fields, parameters)
    return parameters


def check_fields(fields: Sequence[Field], document: Mapping[str, object]) -> None:
    """Nothing if every field is declared and as declared. Raises Refusal (400) naming it."""
    declared = {field.name: field for field in fields}
    for name, value in document.items():
        if name not in declared:
            known = f"there are {', '.join(declared)}" if declared else "there are none"
            raise Refusal(400, f"There is no field {name!r} here; {known}.", field=name)
        wrong = declared[name].rule.check(value)
        if wrong is not None:
            raise Refusal(400, f"{name} must {wrong}.", field=name)
    for field in fields:
        if field.required and field.name not in document:
            raise Refusal(400, f"{field.name} is required.", field=field.name)


def _object_schema(properties: Schema, fields: Sequence[Field]) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": [field.name for field in fields if field.required],
        "additionalProperties": False,
    }
