"""What the parts of a log that triggers write are called."""

from dataclasses import dataclass

#: Of the tables and triggers; a log of another one has to be set up anew.
VERSION = 1
#: Rows that a log holds before it stops, where nothing else is said.
LIMIT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """The names of one log's parts."""

    #: The log's own.
    name: str
    #: On Postgres, where its parts are.
    schema: str = "public"

    @property
    def changes(self) -> str:
        """The table of changed rows."""
        return f"{self.name}_changes"

    @property
    def log(self) -> str:
        """The table of one row that says where the log stands."""
        return f"{self.name}_log"

    @property
    def rows(self) -> str:
        """The trigger on each table that tells of changed rows."""
        return f"{self.name}_rows"

    @property
    def emptied(self) -> str:
        """The one that tells of TRUNCATE."""
        return f"{self.name}_emptied"

    def relations(self) -> dict[str, str]:
        """Return the names of all tables and sequences."""
        return {
            "changes": self.changes,
            "log": self.log,
            "places": f"{self.name}_places",
            "missed": f"{self.name}_missed",
        }

    @property
    def note(self) -> str:
        """On MySQL, the procedure that triggers call to write to the log."""
        return f"{self.name}_note"

    @property
    def standing(self) -> str:
        """On MySQL, the procedure that says what triggers and tables are there."""
        return f"{self.name}_standing"

    @property
    def room(self) -> str:
        """On MySQL, the table of numbers beyond which nothing is written."""
        return f"{self.name}_room"

    def parts(self) -> dict[str, str]:
        """Return the names of all tables and procedures on MySQL."""
        return {
            "changes": self.changes,
            "log": self.log,
            "room": self.room,
            "note": self.note,
            "standing": self.standing,
        }
