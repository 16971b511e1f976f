"""The API as an OpenAPI 3.1 document, made from the table that requests are checked against."""

from typing import Any

from meisa_cdc.sandbox.api import schemas
from meisa_cdc.sandbox.api.endpoint import Answer, Endpoint
from meisa_cdc.sandbox.api.table import BASE_PATH, ENDPOINTS
from meisa_cdc.sandbox.options import SandboxOptions

_KEY = "ApiKey"
_ERROR = {"$ref": "#/components/schemas/Error"}

#: Errors that every request can meet, whatever the endpoint.
_USUAL = {
    400: Answer(meaning="Something in the request is not as described"),
    401: Answer(meaning="The key is missing or wrong"),
    429: Answer(meaning="The key's limits are used up"),
}
_SCOPE_LACKING = Answer(meaning="The key lacks the scope")
_RETRY_AFTER = {
    "Retry-After": {
        "description": "Seconds after which it would be admitted",
        "required": True,
        "schema": {"type": "integer", "minimum": 1},
    }
}


def describe_api(options: SandboxOptions) -> dict[str, Any]:
    """The document for a sandbox with these options; it names no host."""
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in ENDPOINTS:
        operation = _operation(endpoint, options)
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"Meisa sandbox: {options.product_name}",
            "version": "1",
            "description": "What the sandbox accepts and answers, as it is set up now.",
        },
        "servers": [{"url": BASE_PATH}],
        "paths": paths,
        "components": {
            "schemas": {"Error": schemas.ERROR},
            "securitySchemes": {_KEY: {"type": "apiKey", "in": "header", "name": "X-API-Key"}},
        },
    }


def _operation(endpoint: Endpoint, options: SandboxOptions) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.path.strip("/").translate(_IDENTIFIER),
        "summary": endpoint.summary,
        "security": [{_KEY: [endpoint.scope] if endpoint.scope else []}],
        "parameters": _parameters(endpoint, options),
        "responses": _responses(endpoint),
    }
    if endpoint.body is not None:
        content = {"application/json": {"schema": endpoint.body.schema(options)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


_IDENTIFIER = str.maketrans({"/": "_", "-": "_", "{": None, "}": None})


def _parameters(endpoint: Endpoint, options: SandboxOptions) -> list[dict[str, Any]]:
    places = [
        {"name": name, "in": "path", "required": True, "schema": schemas.UUID}
        for name in endpoint.places
    ]
    query = [
        {
            "name": field.name,
            "in": "query",
            "required": field.required,
            "schema": field.schema(options),
        }
        for field in endpoint.query
    ]
    return places + query


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    answers = {**_USUAL, **endpoint.answers}
    if endpoint.scope is not None:
        answers[403] = _SCOPE_LACKING
    responses: dict[str, Any] = {}
    for status, answer in sorted(answers.items()):
        response: dict[str, Any] = {
            "description": answer.meaning,
            "content": {"application/json": {"schema": answer.schema or _ERROR}},
        }
        if status == 429:  # noqa: PLR2004 - the one status that has headers
            response["headers"] = _RETRY_AFTER
        responses[str(status)] = response
    return responses
