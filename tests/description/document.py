"""Compares single requests and answers with an OpenAPI 3.1 document."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl

import jsonschema_rs

JSON = "application/json"
KEY_HEADER = "X-API-Key"

Validator = jsonschema_rs.Draft202012Validator


class Request(NamedTuple):
    """One request as it arrived."""

    method: str
    path: str
    query: str
    content_type: str
    has_key: bool
    body: bytes


class Answer(NamedTuple):
    """One answer as it left; the names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class _Operation:
    """One method of one path."""

    name: str
    #: Matches a path, with a group for each place in it.
    path: re.Pattern[str]
    places: Mapping[str, Validator]
    query: Mapping[str, Validator]
    needed: frozenset[str]
    #: None: it takes no body.
    body: Validator | None
    #: Status -> what the body has to be, and the headers that have to be there.
    answers: Mapping[int, tuple[Validator, frozenset[str]]]


class Description:
    """What a sandbox says of itself at /openapi.json."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._components = {"components": document["components"]}
        (server,) = document["servers"]
        self._operations = [
            self._operation(method.upper(), server["url"] + path, operation)
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Return the description that was served as this JSON."""
        return cls(json.loads(text))

    def wrong_request(self, request: Request) -> Iterator[str]:
        """Yield what the description does not allow, a sentence each."""
        operation, places = self._found(request)
        if operation is None:
            yield f"{request.method} {request.path} is not described"
            return
        if not request.has_key:
            yield f"{operation.name}: no {KEY_HEADER}"
        for name, text in places.items():
            yield from _wrong(operation.places[name], text, f"{operation.name}: {name}")
        yield from _wrong_query(operation, request.query)
        yield from _wrong_body(operation, request)

    def wrong_answer(self, request: Request, answer: Answer) -> Iterator[str]:
        """Yield where an answer is not as described, a sentence each; the request may be wrong."""
        operation, _ = self._found(request)
        if operation is None:
            return
        what = f"{operation.name} answered {answer.status}"
        if answer.status not in operation.answers:
            yield from self.wrong_status(request, answer.status)
            return
        schema, headers = operation.answers[answer.status]
        missing = headers - answer.headers.keys()
        if missing:
            yield f"{what} without {', '.join(sorted(missing))}"
        if answer.headers.get("content-type") != JSON:
            yield f"{what} as {answer.headers.get('content-type')}"
            return
        yield from _wrong(schema, json.loads(answer.body), what)

    def wrong_status(self, request: Request, status: int) -> Iterator[str]:
        """Yield that a status is not described, where it is not; the request may be wrong."""
        operation, _ = self._found(request)
        if operation is not None and status not in operation.answers:
            yield f"{operation.name} answered {status}, which is not described"

    def _found(self, request: Request) -> tuple[_Operation | None, dict[str, str]]:
        for each in self._operations:
            match = each.path.fullmatch(request.path)
            if match and each.name.startswith(f"{request.method} "):
                return each, match.groupdict()
        return None, {}

    def _operation(self, method: str, path: str, described: Mapping[str, Any]) -> _Operation:
        parameters = described["parameters"]
        query = [each for each in parameters if each["in"] == "query"]
        body = described.get("requestBody")
        return _Operation(
            name=f"{method} {path}",
            path=re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", path)),
            places=self._by_name(each for each in parameters if each["in"] == "path"),
            query=self._by_name(iter(query)),
            needed=frozenset(each["name"] for each in query if each["required"]),
            body=None if body is None else self._validator(body["content"][JSON]["schema"]),
            answers={
                int(status): (
                    self._validator(answer["content"][JSON]["schema"]),
                    frozenset(name.lower() for name in answer.get("headers", ())),
                )
                for status, answer in described["responses"].items()
            },
        )

    def _by_name(self, parameters: Iterator[Mapping[str, Any]]) -> dict[str, Validator]:
        return {each["name"]: self._validator(each["schema"]) for each in parameters}

    def _validator(self, schema: Mapping[str, Any]) -> Validator:
        return Validator({**schema, **self._components}, validate_formats=True)


def _wrong_query(operation: _Operation, query: str) -> Iterator[str]:
    given = dict(parse_qsl(query, keep_blank_values=True))
    for name in sorted(operation.needed - given.keys()):
        yield f"{operation.name}: no {name} in the query"
    for name, text in given.items():
        if name in operation.query:
            yield from _wrong(operation.query[name], text, f"{operation.name}: {name}")
        else:
            yield f"{operation.name}: {name} in the query is not described"


def _wrong_body(operation: _Operation, request: Request) -> Iterator[str]:
    if operation.body is None:
        if request.body:
            yield f"{operation.name}: a body, where none is described"
        return
    if request.content_type != JSON:
        yield f"{operation.name}: a body of type {request.content_type!r}"
        return
    yield from _wrong(operation.body, json.loads(request.body), operation.name)


def _wrong(schema: Validator, value: Any, what: str) -> Iterator[str]:
    for error in schema.iter_errors(value):
        place = "/".join(map(str, error.instance_path))
        yield f"{what}: {place or 'it'}: {error.message}"
