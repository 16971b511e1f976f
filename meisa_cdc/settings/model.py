"""What can be set: one frozen tree, each default written as a user would write it."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo

from meisa_cdc.core.budget import DEFAULT_WINDOWS
from meisa_cdc.core.errors import SettingsError
from meisa_cdc.settings import texts
from meisa_cdc.settings.database import DatabaseUrl
from meisa_cdc.settings.secret import Secret


def _base(info: ValidationInfo) -> Path:
    context: Mapping[str, Any] = info.context or {}
    return Path(context.get("base", "."))


def _database(*dialects: str) -> Callable[[object, ValidationInfo], DatabaseUrl]:
    def parse(raw: object, info: ValidationInfo) -> DatabaseUrl:
        if not isinstance(raw, str):
            message = "a database URL is a text; write postgresql://user:password@host/name"
            raise ValueError(message)  # noqa: TRY004 - pydantic collects ValueError alone
        url = DatabaseUrl.parse(raw, _base(info))
        if url.dialect not in dialects:
            message = f"{url.dialect} is not possible here; write {'://… or '.join(dialects)}://…"
            raise ValueError(message)
        return url

    return parse


def _folder(raw: object, info: ValidationInfo) -> Path:
    return texts.parse_folder(raw, _base(info))


#: In a dump as well, what is secret looks like it does to `repr`.
Hidden = PlainSerializer(lambda value: None if value is None else repr(value))
AppUrl = Annotated[DatabaseUrl, PlainValidator(_database("postgresql", "mysql", "sqlite")), Hidden]
StateUrl = Annotated[DatabaseUrl, PlainValidator(_database("sqlite", "postgresql")), Hidden]
SecretText = Annotated[Secret | None, PlainValidator(lambda secret: secret), Hidden]
Seconds = Annotated[float, PlainValidator(texts.parse_seconds)]
Share = Annotated[float, PlainValidator(texts.parse_share)]
Reserve = Annotated[float, PlainValidator(texts.parse_reserve)]
Limits = Annotated[tuple[tuple[int, float], ...], PlainValidator(texts.parse_limits)]
BaseUrl = Annotated[str, PlainValidator(texts.parse_base_url)]
Folder = Annotated[Path, PlainValidator(_folder)]
Table = Annotated[str, PlainValidator(texts.parse_table)]
Zone = Annotated[ZoneInfo, PlainValidator(texts.parse_timezone)]
BindAddress = Annotated[texts.Bind, PlainValidator(texts.parse_bind), PlainSerializer(str)]
FirstLoad = Annotated[Literal["hold", "send"], PlainValidator(texts.parse_choice("hold", "send"))]
LogFormat = Annotated[Literal["text", "json"], PlainValidator(texts.parse_choice("text", "json"))]
Variable = Annotated[object, PlainValidator(texts.parse_variable)]
FromOne = Annotated[int, PlainValidator(texts.parse_count(1))]
Switch = Annotated[bool, PlainValidator(texts.parse_switch)]
Identifier = Annotated[str, PlainValidator(texts.parse_identifier)]
Size = Annotated[int, PlainValidator(texts.parse_bytes)]


def _written(default: str | int) -> Any:
    """Return the default as a user would write it; it is read like what they write."""
    return Field(default=default)


class _Group(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, arbitrary_types_allowed=True
    )


class MeisaSettings(_Group):
    """How Meisa is reached."""

    #: The API key; `Settings.require_api_key` reads it.
    api_key: SecretText = None
    #: Without a slash at the end.
    base_url: BaseUrl = _written("https://api.meisa.io/api/v1")
    #: Request windows as (count, seconds); all hold at once.
    limits: Limits = _written(DEFAULT_WINDOWS)
    #: Share (0..1) of every window left to other users of the key.
    reserve: Reserve = _written("10%")
    #: Requests in flight at most.
    concurrency: FromOne = _written(4)
    #: Seconds for one request.
    timeout: Seconds = _written("30s")

    @property
    def limits_are_given(self) -> bool:
        """Whether someone set the limits: then what /ping/ reports does not replace them."""
        return "limits" in self.model_fields_set


class AppDatabaseSettings(_Group):
    """The database that is read."""

    #: `Settings.require_app_database` tells how to set it.
    url: Annotated[AppUrl | None, Field(validate_default=False)] = None
    #: Seconds for one mapping's query.
    statement_timeout: Seconds = _written("60s")


class CaptureSettings(_Group):
    """The app database's log of changed rows."""

    #: What the publication, the slot and the trigger log are called.
    name: Identifier = _written("meisa_cdc")
    #: Bytes of WAL that the slot may keep before we drop it.
    max_wal: Size = _written("1GB")
    #: Where `capture setup` and `capture drop` connect to; `Settings.require_setup` reads it.
    setup_url: SecretText = None


class StateSettings(_Group):
    """Our own state."""

    url: StateUrl = _written("sqlite:///meisa-cdc.db")


class SuppressionSettings(_Group):
    """The table of suppressed addresses."""

    #: None: the app database; see `Settings.suppression_url`.
    url: Annotated[AppUrl | None, Field(validate_default=False)] = None
    #: Perhaps with its schema before a dot.
    table: Table = _written("meisa_suppressed_emails")
    #: Seconds between two pulls.
    every: Seconds = _written("1h")
    #: Share (0..1) of the addresses a list may free at once.
    max_release: Share = _written("20%")


class ScheduleSettings(_Group):
    """When mappings are read."""

    #: Seconds between two reads of a mapping that says nothing else.
    every: Seconds = _written("1m")
    #: For cron expressions, and for datetimes without a zone in the source.
    timezone: Zone = _written("UTC")
    #: Seconds after which every row of a mapping is read, whatever its checksums say.
    full_scan_every: Seconds = _written("1d")


class GuardSettings(_Group):
    """When a plan is held."""

    #: What happens to the first load of more than `min_contacts` contacts.
    first_load: FirstLoad = _written("hold")
    #: Share (0..1) of its contacts a mapping may change.
    max_change: Share = _written("30%")
    #: Share (0..1) of its contacts a mapping may lose.
    max_missing: Share = _written("10%")
    #: Shares are judged from this many contacts on.
    min_contacts: FromOne = _written(100)
    #: New rows an events, emails or sequences mapping may bring at once.
    max_new_rows: FromOne = _written(100)


class EmailsSettings(_Group):
    """Triggered e-mails."""

    #: Whether mappings in emails/ are read, and their e-mails triggered.
    enabled: Switch = _written("false")


class WebSettings(_Group):
    """Our own web server."""

    bind: BindAddress = _written("127.0.0.1:8787")
    #: Bearer token, needed where others can reach the server.
    token: SecretText = None


class LogSettings(_Group):
    """The log on stderr."""

    #: None: text on a terminal, else json.
    format: Annotated[LogFormat | None, Field(validate_default=False)] = None


class Settings(_Group):
    """Everything that can be set, validated as a whole; `load_settings` makes one."""

    meisa: MeisaSettings
    app_database: AppDatabaseSettings
    capture: CaptureSettings
    state: StateSettings
    suppression: SuppressionSettings
    #: Absolute.
    mappings_dir: Folder = _written("mappings")
    schedule: ScheduleSettings
    guard: GuardSettings
    emails: EmailsSettings
    web: WebSettings
    log: LogSettings
    #: What `var(name)` yields in a mapping.
    vars: dict[str, Variable] = Field(default_factory=dict)

    def require_app_database(self) -> DatabaseUrl:
        """Return the app database's address. Raises SettingsError that tells how to set it."""
        if self.app_database.url is None:
            raise SettingsError(
                "No app database is set.",
                hint="Set MEISA_CDC_APP_DATABASE__URL, or url under [app_database] in "
                "meisa-cdc.toml, to a URL such as postgresql://reader:password@host/app.",
            )
        return self.app_database.url

    def require_setup(self) -> DatabaseUrl:
        """Return whom the app database is altered as: the app database's URL where nobody says.

        Raises SettingsError where it cannot be read, or is none.
        """
        secret = self.capture.setup_url
        if secret is None:
            return self.require_app_database()
        try:
            return DatabaseUrl.parse(secret.read(), Path.cwd())
        except ValueError as error:
            raise SettingsError(f"{secret.name}: {error}") from None

    def suppression_url(self) -> DatabaseUrl:
        """Return where the suppression table lives. Raises SettingsError as above."""
        return self.suppression.url or self.require_app_database()

    def require_api_key(self) -> str:
        """Read the API key, anew each time. Raises SettingsError that tells how to set it."""
        if self.meisa.api_key is None:
            raise SettingsError(
                "No Meisa API key is set.",
                hint="Set MEISA_API_KEY to the key, or MEISA_API_KEY_FILE to a file that holds it.",
            )
        return self.meisa.api_key.read()

    def secrets(self) -> tuple[str, ...]:
        """Return every text that no log may show, as it is now; unreadable ones are left out."""
        urls = [self.app_database.url, self.state.url, self.suppression.url]
        secrets = (self.meisa.api_key, self.web.token, self.capture.setup_url)
        kept = [text for each in secrets if each is not None and (text := _present(each))]
        if self.capture.setup_url is not None:
            with suppress(SettingsError):
                urls.append(self.require_setup())
        texts_of_urls = [text for url in urls if url is not None for text in url.secrets()]
        return (*texts_of_urls, *kept)


def _present(secret: Secret) -> str:
    try:
        return secret.read()
    except SettingsError:
        return ""  # what cannot be read cannot be shown either; its use reports the reason
