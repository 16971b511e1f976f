"""The folder of mappings: the whole valid set, or an error that says what is wrong where."""

import hashlib
import re
from collections.abc import Mapping as Dict
from pathlib import Path

from meisa_cdc.core.errors import MappingError
from meisa_cdc.core.mapping import KINDS, TAG, FieldSettings, Mapping
from meisa_cdc.source.declarations import Declared, declared, nearest
from meisa_cdc.source.dialects import SQLITE, Dialect, dialect_named
from meisa_cdc.source.inspection import examine, refusal
from meisa_cdc.source.language import Forbidden, Refused
from meisa_cdc.source.rendering import Rendered, render
from meisa_cdc.source.statements import TAG_COLUMNS, placeholders

ENDING = ".sql"
LARGEST_FILE = 1_000_000
NAME = re.compile(r"[\w][\w.-]*")
#: Files that lie beside mappings without being any: notes, and what editors leave behind.
BESIDE = re.compile(r"\..*|README.*|.*\.md|.*~|#.*#", re.DOTALL)
PURPOSE = re.compile(
    r"\s*(?:/\*(?P<block>.*?)\*/|(?P<lines>(?:[ \t]*--[^\n]*(?:\n|\Z))+))", re.DOTALL
)


def load_mappings(
    folder: Path | str, *, variables: Dict[str, object], dialect: str
) -> list[Mapping]:
    """Return every mapping of the folder, by name.

    `variables` is what `var()` knows; `dialect` is the kind of the app database. Raises
    MappingError for the first file that is not valid; what a mapping's SQL must not do is
    refused later, for that mapping alone, when its columns are asked for.
    """
    kind = dialect_named(dialect)
    return [
        _loaded(path, f"{path.parent.name}/{path.stem}", variables, kind)
        for path in _files(Path(folder))
    ]


def _files(folder: Path) -> list[Path]:
    found: list[Path] = []
    for entry in _entries(folder):
        if entry.name not in KINDS:
            raise MappingError(
                f"{entry} is no folder of mappings.",
                hint=nearest(entry.name, KINDS, f"Folders are {', '.join(KINDS)}."),
            )
        if not entry.is_dir():
            raise MappingError(f"{entry} is not a folder.", hint="Mappings lie inside it.")
        found += [_mapping_file(each) for each in _entries(entry)]
    return found


def _entries(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise MappingError(
            f"The folder {folder} cannot be read: {error.strerror}.",
            hint="Correct mappings_dir, or run meisa-cdc init.",
        ) from None
    return [entry for entry in entries if not BESIDE.fullmatch(entry.name)]


def _mapping_file(path: Path) -> Path:
    if path.suffix != ENDING or not NAME.fullmatch(path.stem):
        stem = path.name.partition(".")[0]
        usable = bool(NAME.fullmatch(stem)) and not path.is_dir()
        raise MappingError(
            f"{path} is no mapping.",
            hint=f"Did you mean {stem}{ENDING}?" if usable else f"Mappings end in {ENDING}.",
        )
    return path


def _loaded(path: Path, name: str, variables: Dict[str, object], dialect: Dialect) -> Mapping:
    text = _text(path, name)
    rendered = render(text, mapping=name, variables=variables, dialect=dialect)
    try:
        settings = declared(rendered.config, path.parent.name)
        if settings.capture == "checksum" and dialect is SQLITE:
            _refuse_checksums()
    except Refused as error:
        error.line = rendered.line
        raise refusal(error, name) from None
    kind = path.parent.name
    columns = _columns(rendered, name, dialect)
    if kind == TAG:
        columns = _tagging(name, columns, settings)
    return Mapping(
        name=name,
        kind=kind,
        text=text,
        digest=_digest(text, variables),
        purpose=purpose_of(text),
        every=settings.every,
        cron=settings.cron,
        priority=settings.priority,
        capture=settings.capture,
        timeout=settings.timeout,
        enabled=settings.enabled,
        # A contact without a row has no tags from this mapping any more.
        fields={name: FieldSettings(missing=[])} if kind == TAG else settings.fields,
        columns=columns,
        at_least_once=settings.at_least_once,
        backfill=settings.backfill,
    )


def _digest(text: str, variables: Dict[str, object]) -> str:
    """Return what differs between files, and between what variables make of them."""
    digest = hashlib.sha256(text.encode())
    if "var(" in text:
        digest.update(repr(sorted(variables.items())).encode())
    return digest.hexdigest()


def _tagging(name: str, columns: tuple[str, ...], settings: Declared) -> tuple[str, ...]:
    """Return the columns of a mapping of tags: its tags are one field that has its name."""
    if settings.fields:
        raise MappingError("tags take no settings by field", mapping=name)
    if columns and set(columns) != set(TAG_COLUMNS):
        raise MappingError(
            f"a mapping of tags yields {' and '.join(TAG_COLUMNS)}, not {', '.join(columns)}",
            mapping=name,
            hint=f"Write select u.id as {TAG_COLUMNS[0]}, … as {TAG_COLUMNS[1]}.",
        )
    return (TAG_COLUMNS[0], name) if columns else ()


def _refuse_checksums() -> None:
    raise Refused(
        "capture='checksum' is not supported on SQLite", hint="Use capture='auto' or 'scan'."
    )


def _text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST_FILE + 1)
    except OSError as error:
        raise MappingError(f"cannot be read: {error.strerror}", mapping=name) from None
    if len(raw) > LARGEST_FILE:
        raise MappingError("the file is too large to be a mapping", mapping=name)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise MappingError(
            "is not UTF-8", mapping=name, line=line, hint="Save it as UTF-8."
        ) from None
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise MappingError("is empty", mapping=name, hint="Write one SELECT, or remove the file.")
    return text


def purpose_of(text: str) -> str:
    """Return the comment at the top of a mapping as one paragraph."""
    match = PURPOSE.match(text)
    if match is None:
        return ""
    lines = (match["block"] or match["lines"]).splitlines()
    return " ".join(line.strip(" \t-*") for line in lines).strip()


def _columns(rendered: Rendered, name: str, dialect: Dialect) -> tuple[str, ...]:
    values: list[object] = []
    written = rendered.query.write(dialect, placeholders(dialect)(values))
    try:
        return examine(written, dialect=dialect, values=len(values)).columns
    except Forbidden:
        # It is refused when it is its turn; the other mappings go on.
        return ()
    except Refused as error:
        raise refusal(error, name) from None
