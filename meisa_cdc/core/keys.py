"""What names a contact: its key and its e-mail address."""

import re
import unicodedata
import uuid
from decimal import Decimal

from meisa_cdc.core.errors import InvalidValue
from meisa_cdc.core.spelling import shortened

MAX_KEY_LENGTH = 255
#: A number from here on is too long for a key; it is never written out to find that out.
TOO_LONG_KEY = 10**MAX_KEY_LENGTH
#: Nearly all keys are whole numbers within this, and need no look at their text.
SHORT_KEY = 2**63
MAX_EMAIL_LENGTH = 320
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
# Deliberately coarse: one @, something before it, a dotted name or host behind it, no blanks.
EMAIL = re.compile(r"[^\s@,;<>()\[\]\"\\]+@[^\s@,;<>()\[\]\"\\.]+(\.[^\s@,;<>()\[\]\"\\.]+)+")


def canonical_key(raw: object) -> str:
    """Return the external_id of a key column's value: 5, 5.0 and '5' are one contact.

    Raises InvalidValue for NULL, blank, overlong or unprintable keys and for types without a
    plain text.
    """
    if type(raw) is int and -SHORT_KEY < raw < SHORT_KEY:
        return str(raw)
    if raw is None:
        raise InvalidValue("key_null", "the key is NULL")
    if isinstance(raw, bool) or not isinstance(raw, str | int | float | Decimal | uuid.UUID):
        raise InvalidValue("key_type", f"a key cannot be of type {type(raw).__name__}; cast it")
    if isinstance(raw, float | Decimal):
        raw = _whole(Decimal(raw))
    if isinstance(raw, int):
        if abs(raw) >= TOO_LONG_KEY:
            raise InvalidValue("key_too_long", f"the key is a number over {MAX_KEY_LENGTH} long")
        raw = int(raw)
    return _checked_key(str.__str__(raw) if isinstance(raw, str) else str(raw))


def _whole(number: Decimal) -> int:
    if not number:
        return 0
    if not number.is_finite() or number != number.to_integral_value():
        raise InvalidValue(
            "key_type", f"{shortened(number)} is not usable as a key; cast it to text"
        )
    return TOO_LONG_KEY if number.adjusted() >= MAX_KEY_LENGTH else int(number)


def _checked_key(key: str) -> str:
    if not key or key.isspace():
        raise InvalidValue("key_blank", "the key is empty or blank")
    if len(key) > MAX_KEY_LENGTH:
        raise InvalidValue(
            "key_too_long", f"the key {shortened(key)} is over {MAX_KEY_LENGTH} long"
        )
    if CONTROL.search(key):
        raise InvalidValue("key_unprintable", f"the key {key!r} contains control characters")
    try:
        key.encode()
    except UnicodeEncodeError:
        raise InvalidValue("key_unprintable", f"the key {key!r} is not valid Unicode") from None
    return key


def canonical_email(value: object) -> str:
    """Return the trimmed address. Raises InvalidValue where it is missing or malformed."""
    if value is None:
        raise InvalidValue("email_missing", "the e-mail is NULL")
    email = trimmed(value)
    if not email:
        raise InvalidValue("email_missing", "the e-mail is empty")
    unprintable = not email.isprintable() and CONTROL.search(email)
    if len(email) > MAX_EMAIL_LENGTH or unprintable or not EMAIL.fullmatch(email):
        raise InvalidValue("email_malformed", f"{shortened(email)} is not an e-mail address")
    return email


def trimmed(value: object) -> str:
    """Return an address without what surrounds it: of one that is usable, its canonical form."""
    return value.strip() if isinstance(value, str) else str(value)


def email_key(email: str) -> str:
    """Return what two spellings of one address share."""
    if email.isascii():
        return email.strip().lower()
    return unicodedata.normalize("NFC", email.strip().casefold())
