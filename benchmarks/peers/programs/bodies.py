"""Rows of the joined mappings as bodies of requests, for the programs beside it."""

from datetime import datetime
from decimal import Decimal
from typing import Any

ATTRIBUTES = ("external_id", "email", "first_name", "last_name")


def body(row: dict[str, Any]) -> dict[str, Any]:
    """Return what Meisa is sent about one contact."""
    custom = {name: _json(value) for name, value in row.items() if name not in ATTRIBUTES}
    attributes = {name: row[name] for name in ATTRIBUTES}
    return {**attributes, "external_id": str(row["external_id"]), "custom_fields": custom}


def _json(value: object) -> object:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    return value
