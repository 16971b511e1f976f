"""The ways in which a mapping's changes are found."""

from dataclasses import dataclass

SCAN, CHECKSUM, WATERMARK, LOG = "scan", "checksum", "watermark", "log"
#: Whichever suits.
AUTO = "auto"


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """How a mapping's changes are found."""

    #: SCAN, CHECKSUM, WATERMARK or LOG.
    kind: str
    #: For people.
    why: str
