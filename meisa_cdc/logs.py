"""The log on stderr: text on a terminal, else JSON lines, and no secret in either."""

import logging
import re
import sys
from collections.abc import Callable, MutableMapping
from functools import partial
from io import TextIOBase
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from structlog.typing import Processor

REDACTED = "[redacted]"
#: A shorter secret is looked for as a whole word only, lest it garbles every line.
SAFE_LENGTH = 8
#: Libraries that tell more than anybody asked for, some of it with contacts' data.
TALKATIVE = ("alembic", "apscheduler", "httpcore", "httpx", "sqlalchemy", "uvicorn")


class Redactor:
    """Takes known secrets out of texts."""

    def __init__(self) -> None:
        self._secrets: set[str] = set()
        self._pattern: re.Pattern[str] | None = None

    def add(self, *secrets: str) -> None:
        """Hide these texts from now on; a rotated key is added each time it is read."""
        new = {secret for secret in secrets if secret} - self._secrets
        if not new:
            return
        self._secrets |= new
        longest_first = sorted(self._secrets, key=lambda each: (-len(each), each))
        self._pattern = re.compile("|".join(_pattern_of(secret) for secret in longest_first))

    def text(self, text: str) -> str:
        """Return the text without the secrets."""
        return text if self._pattern is None else self._pattern.sub(REDACTED, text)

    def value(self, value: Any) -> Any:
        """Return the value without the secrets in its texts, however deep."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.value(key): self.value(each) for key, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.value(each) for each in value]
        if value is None or isinstance(value, bool | int | float):
            return value
        return self.text(repr(value))


def _pattern_of(secret: str) -> str:
    escaped = re.escape(secret)
    return escaped if len(secret) >= SAFE_LENGTH else rf"(?<!\w){escaped}(?!\w)"


class Unfailing(TextIOBase):
    """A stream that goes on when nobody can take its text any more.

    A full disk or a reader that has left must not end the work the log is about.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write what can be written."""
        if self._stream is not None:
            try:
                self._stream.write(text)
                self._stream.flush()
            except (OSError, ValueError):
                return len(text)
        return len(text)

    def isatty(self) -> bool:
        """Tell whether a person is looking."""
        return self._stream is not None and not self._stream.closed and self._stream.isatty()


class Lines(logging.Formatter):
    """Writes records as structlog does, which is imported once there is one.

    Most commands log nothing, and structlog takes as long to import as they take to start.
    """

    def __init__(self, make: Callable[[], logging.Formatter]) -> None:
        super().__init__()
        self._make = make
        self._made: logging.Formatter | None = None

    def format(self, record: logging.LogRecord) -> str:
        """Return a record as one line."""
        if self._made is None:
            self._made = self._make()
        return self._made.format(record)


def set_up_logs(
    *,
    redactor: Redactor,
    level: int = logging.INFO,
    style: Literal["text", "json"] | None = None,
    colour: bool = False,
    stream: TextIO | None = None,
) -> None:
    """Send the standard library's loggers, and those of `logger`, to one stream, usually stderr.

    `style` None: text on a terminal, else json.
    """
    out = Unfailing(sys.stderr if stream is None else stream)
    text = style == "text" or (style is None and out.isatty())
    _route(Lines(partial(_formatter, redactor, text=text, colour=colour)), out, level)


def logger(name: str) -> Any:
    """Return a logger that takes an event and named values with it."""
    import structlog

    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_shared(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )
    return structlog.get_logger(name)


def _shared() -> "list[Processor]":
    import structlog

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]


def _formatter(redactor: Redactor, *, text: bool, colour: bool) -> logging.Formatter:
    import structlog

    def redact(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {redactor.text(key): redactor.value(value) for key, value in event.items()}

    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_shared(), structlog.stdlib.add_logger_name],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            redact,
            structlog.dev.ConsoleRenderer(colors=colour)
            if text
            else structlog.processors.JSONRenderer(serializer=_json),
        ],
    )


def _route(formatter: logging.Formatter, out: Unfailing, level: int) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _json(event: object, **_: object) -> str:
    import orjson

    return orjson.dumps(event, default=repr).decode()


def level_of(*, verbose: bool, quiet: bool, usual: int = logging.INFO) -> int:
    """Return the lowest level that is logged."""
    if verbose:
        return logging.DEBUG
    return logging.ERROR if quiet else usual
