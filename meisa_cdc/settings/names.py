"""The names of all settings, as file keys and as environment variables."""

from collections.abc import Iterable, Iterator
from difflib import SequenceMatcher

from pydantic import BaseModel

from meisa_cdc.settings.model import Settings

PREFIX = "MEISA_CDC_"
#: Its keys are the user's own.
VARIABLES = "vars"
#: Kept out of the file, with the place where they belong.
NOT_IN_FILE = {
    "meisa.api_key": "MEISA_API_KEY, or MEISA_API_KEY_FILE with the path of a file that holds it",
    "capture.setup_url": "MEISA_CDC_SETUP_URL, or MEISA_CDC_SETUP_URL_FILE with the path of a file",
    "web.token": "MEISA_CDC_WEB__TOKEN, or MEISA_CDC_WEB__TOKEN_FILE with the path of a file",
}
#: Part of the product's plan, without a behaviour in this version.
NOT_YET = ("alerts.webhook_url",)
#: Names that do not follow the rule.
SPECIAL = {
    "meisa.api_key": "MEISA_API_KEY",
    "meisa.base_url": "MEISA_BASE_URL",
    "capture.setup_url": "MEISA_CDC_SETUP_URL",
}
ALIKE = 0.6


def _leaves(model: type[BaseModel], before: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, f"{before}{name}.")
        elif before or name != VARIABLES:
            yield f"{before}{name}"


def ruled(key: str) -> str:
    """Return the environment variable that the rule makes of a file key."""
    return PREFIX + key.replace(".", "__").upper()


#: Every setting but the variables of mappings, by its dotted key.
KEYS = tuple(_leaves(Settings))
#: Environment variable -> dotted key.
ENVIRONMENT = {SPECIAL.get(key, ruled(key)): key for key in KEYS}
#: Environment variable that names a file with the value -> dotted key.
FILES = {f"{SPECIAL.get(key, ruled(key))}_FILE": key for key in NOT_IN_FILE}
GROUPS = {key.partition(".")[0] for key in (*KEYS, *NOT_YET) if "." in key}


def nearest_key(key: str) -> str:
    """Return the file key most like this one; empty where none is."""
    return _nearest(key, (known for known in KEYS if known not in NOT_IN_FILE))


def nearest_variable(name: str) -> str:
    """Return the environment variable most like this one; empty where none is."""
    known = {ruled(key): SPECIAL.get(key, ruled(key)) for key in KEYS}
    known |= {f"{ruled(key)}_FILE": f"{known[ruled(key)]}_FILE" for key in NOT_IN_FILE}
    short = {regular.removeprefix(PREFIX): name for regular, name in known.items()}
    return short.get(_nearest(name.upper().removeprefix(PREFIX), short), "")


def _nearest(name: str, known: Iterable[str]) -> str:
    def likeness(other: str) -> float:
        whole = SequenceMatcher(None, name, other).ratio()
        last = SequenceMatcher(None, _last(name), _last(other)).ratio()
        return max(whole, (whole + last) / 2)

    best = max(known, key=likeness)
    return best if likeness(best) >= ALIKE else ""


def _last(name: str) -> str:
    return name.replace("__", ".").rpartition(".")[2]
