"""The errors of the package, grouped by what happens next.

MeisaCdcError
├── Stop             the command ends; the user reads what to do, never a traceback
│   ├── SettingsError      a setting is unknown, missing or malformed
│   ├── MappingError       a mapping file is refused; nothing of the set is used
│   ├── StateRefused       our own state is missing, damaged, newer or foreign
│   ├── SourceRefused      the app database is reachable but must not be used as it is
│   ├── LeaseHeld          another process works on this state
│   ├── LeaseLost          this process no longer may write
│   └── ApprovalMismatch   the digest names another plan than the present one
├── RetryLater       nothing is wrong with the input; the next pass or attempt may succeed
│   ├── SourceUnavailable  the app database could not be read as a whole; the pass is dropped
│   ├── MappingFailed      one mapping could not be read; the others go on
│   ├── StateUnavailable   our own state could not be written; nothing is sent meanwhile
│   ├── MeisaUnavailable   Meisa did not answer usefully
│   └── SuppressionFailed  the list could not be pulled or stored; the old one stays
└── InvalidValue     one field or one contact is set aside with a code; the others go on
"""


class MeisaCdcError(Exception):
    """Root of all our errors: a message that says what and where, a hint that says what to do."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        if not self.hint:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?")) else "."
        return f"{self.message}{stop} {self.hint}"


class Stop(MeisaCdcError):
    """The command ends with exit code 1; the message is shown without a traceback."""


class SettingsError(Stop):
    """A setting is unknown, missing or malformed; correct it and start again."""


class MappingError(Stop):
    """A mapping file is refused; the set that was in force stays in force."""

    def __init__(self, message: str, *, mapping: str = "", line: int = 0, hint: str = "") -> None:
        where = f"{mapping}.sql" if mapping else ""
        if where and line:
            where = f"{where}:{line}"
        super().__init__(f"{where}: {message}" if where else message, hint=hint)
        self.mapping = mapping
        self.line = line


class StateRefused(Stop):
    """Our own state is missing, damaged, newer than the program or belongs to another Meisa."""


class SourceRefused(Stop):
    """The app database must not be used as it is; its owner has to change something."""


class LeaseHeld(Stop):
    """Another process holds the lease; wait for it or end it."""

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"Another process works on this state: {holder}.",
            hint="Wait until it has ended. One that died is noticed within 10 seconds.",
        )
        self.holder = holder


class LeaseLost(Stop):
    """The lease went to another process; this one stops before its next write."""


class ApprovalMismatch(Stop):
    """The digest names another plan than the present one; look at the new plan first."""


class RetryLater(MeisaCdcError):
    """Nothing has to be corrected by the program's input; a later try may succeed."""


class SourceUnavailable(RetryLater):
    """The app database could not be read as a whole; the pass is dropped, nothing is inferred."""


class MappingFailed(RetryLater):
    """One mapping could not be read; its fields keep their sent values, the others go on."""

    def __init__(self, message: str, *, mapping: str, hint: str = "") -> None:
        super().__init__(f"{mapping}: {message}", hint=hint)
        self.mapping = mapping


class StateUnavailable(RetryLater):
    """Our own state could not be written; nothing is sent until it can be."""


class MeisaUnavailable(RetryLater):
    """Meisa did not answer usefully; the same call may succeed later."""


class SuppressionFailed(RetryLater):
    """The suppression list could not be pulled or stored; the table keeps its contents."""


class InvalidValue(MeisaCdcError):
    """One value or row is set aside under `code`; shown in the plan, judged again every run."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
