"""An app database and its mappings as they change from day to day, as rules of a state machine."""

from collections.abc import Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from meisa_cdc.core.keys import canonical_key
from tests.unit.sync.worlds import IDENTITY, PLAN, USAGE, World

T = TypeVar("T")
KEYS = ("1", "2", "3", "4")
#: How a driver may hand over a key; all of them name the same contact.
SPELLINGS = (str, int, float)
UNUSABLE = (None, "nobody")
ADDRESSES = ("shared@example.com", "SHARED@example.com ", "other@example.com", *UNUSABLE)


def sometimes(odd: Sequence[T], *, otherwise: Any = "") -> st.SearchStrategy[Any]:
    """Return a strategy that mostly yields what is usual."""
    return st.sampled_from((*(otherwise,) * (2 * len(odd) + 2), *odd))


PEOPLE_CHANGES = st.one_of(
    *(
        st.tuples(st.just(name), st.integers(0, 3), detail)
        for name, detail in {
            "sign_up": st.tuples(st.sampled_from(SPELLINGS), sometimes(ADDRESSES, otherwise="own")),
            "delete": sometimes((True,), otherwise=False),
            "rename": st.sampled_from(("A", "B", None)),
            "move": st.sampled_from((*ADDRESSES, "own", "new")),
            "swap": st.integers(0, 3),
            "succeed": st.integers(0, 3),
        }.items()
    )
)
USAGE_ROWS = st.none() | st.tuples(
    st.sampled_from(("mon", "tue", None)), st.sampled_from((0, 9, 10, 11, 100, 200, None))
)
PLAN_ROWS = st.none() | st.tuples(
    st.sampled_from(("free", "pro", None)), st.sampled_from(("month", "year", None))
)


class ChangingApp(RuleBasedStateMachine):
    """What developers and users do to the app while we watch."""

    world: World

    @rule(changes=st.lists(PEOPLE_CHANGES, min_size=1, max_size=3))
    def change_people(self, changes: list[tuple[str, int, Any]]) -> None:
        """People sign up, leave, rename themselves, move, swap addresses."""
        for name, place, detail in changes:
            getattr(self, name)(place, detail)

    def sign_up(self, place: int, how: tuple[type, str | None]) -> None:
        """Somebody signs up, perhaps oddly, perhaps with a key that is there."""
        spelling, email = how
        key = KEYS[place]
        email = f"{key}@example.com" if email == "own" else email
        self.world.rows(IDENTITY).append((spelling(key), email, "New"))

    def delete(self, place: int, everybody: bool) -> None:
        """An account is deleted, or somebody's migration goes wrong."""
        rows = self.world.rows(IDENTITY)
        if everybody:
            rows.clear()
        elif rows:
            rows.pop(place % len(rows))

    def rename(self, place: int, name: str | None) -> None:
        """A name changes, and may change back."""
        rows = self.world.rows(IDENTITY)
        if rows:
            key, email, _ = rows[place % len(rows)]
            rows[place % len(rows)] = (key, email, name)

    def move(self, place: int, email: str | None) -> None:
        """An address changes."""
        rows = self.world.rows(IDENTITY)
        if rows:
            key, _, name = rows[place % len(rows)]
            plain = canonical_key(key)
            special = {"own": f"{plain}@example.com", "new": f"{plain}.new@example.com"}
            rows[place % len(rows)] = (key, special.get(email, email) if email else email, name)

    def swap(self, place: int, other: int) -> None:
        """Two people swap their addresses."""
        rows = self.world.rows(IDENTITY)
        if len(rows) > 1:
            first, second = place % len(rows), other % len(rows)
            (a, email_a, name_a), (b, email_b, name_b) = rows[first], rows[second]
            rows[first], rows[second] = (a, email_b, name_a), (b, email_a, name_b)

    def succeed(self, place: int, other: int) -> None:
        """An account is deleted, and somebody else signs up with its address, or moves to it."""
        rows = self.world.rows(IDENTITY)
        if not rows:
            return
        _, email, _ = rows.pop(place % len(rows))
        rows[:] = [row for row in rows if canonical_key(row[0]) != KEYS[other]]
        rows.append((KEYS[other], email, "Heir"))

    @rule(rows=st.dictionaries(st.sampled_from((*KEYS, "99")), USAGE_ROWS, max_size=3))
    def change_usage(self, rows: dict[str, tuple[str | None, int | None] | None]) -> None:
        """People come by and do something."""
        table = self.world.source.tables[USAGE]
        kept = [row for row in table.rows if row[0] not in rows]
        table.rows[:] = kept + [(key, *row) for key, row in rows.items() if row is not None]

    @rule(rows=st.dictionaries(st.sampled_from((*KEYS, "99")), PLAN_ROWS, max_size=3))
    def change_plans(self, rows: dict[str, tuple[str | None, str | None] | None]) -> None:
        """Subscriptions come, change, change back, and go."""
        table = self.world.source.tables[PLAN]
        place = table.columns.index("external_id")
        table.rows[:] = [row for row in table.rows if row[place] not in rows]
        for key, row in rows.items():
            if row is not None:
                values = {"external_id": key, "plan": row[0], "cycle": row[1]}
                table.rows.append(tuple(values[name] for name in table.columns))

    @rule(
        columns=st.sampled_from(("external_id plan", "external_id plan cycle")),
        edition=st.sampled_from(("", "one", "two")),
        enabled=st.sampled_from((True, True, False)),
    )
    def change_mapping(self, columns: str, edition: str, enabled: bool) -> None:
        """A column goes or returns, by an edit or not; an edit may be taken back."""
        self.set_columns(columns.split())
        edition = edition or self.world.mappings[PLAN].digest
        self.world.edit(PLAN, edition, enabled=enabled)

    def set_columns(self, columns: list[str]) -> None:
        """Let the plan mapping yield these columns."""
        table = self.world.source.tables[PLAN]
        rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
        table.columns = columns
        table.rows[:] = [tuple(row.get(name) for name in columns) for row in rows]
