"""The figures of a plan against a count by hand, on random people and pasts."""

from collections import Counter, defaultdict
from collections.abc import Mapping as Dict
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings, strategies as st

from meisa_cdc.core.keys import canonical_key
from meisa_cdc.core.plan import Summary
from meisa_cdc.core.values import email_key
from tests.unit.sync.worlds import IDENTITY, PLAN, Row, World

KEYS = [str(number) for number in range(1, 7)]
ADDRESSES = st.sampled_from(
    ["own", "own", "own", "own", "new", "shared@example.com", "SHARED@example.com", None, "nobody"]
)
PEOPLE = st.dictionaries(
    st.sampled_from(KEYS), st.tuples(ADDRESSES, st.sampled_from(["A", "B"])), max_size=6
)
PLANS = st.dictionaries(
    st.sampled_from([*KEYS, "98", "99"]), st.sampled_from(["free", "pro", None]), max_size=6
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What the app database holds one day, and how Meisa takes it."""

    people: dict[str, tuple[str | None, str]]
    #: Keys that have a second row.
    twice: set[str]
    #: Rows without a key.
    unkeyed: int
    plans: dict[str, str | None]
    answers: list[Any] = field(default_factory=list)
    due: tuple[str, ...] = (IDENTITY, PLAN)

    def rows(self) -> list[Row]:
        """Return identity's rows."""
        special = {"own": "{}@example.com", "new": "{}.new@example.com"}
        rows: list[Row] = []
        for key, (email, name) in self.people.items():
            # Which of two rows of one key counts for others is nobody's business.
            kind = "own" if key in self.twice and email else email
            rows.append((key, special.get(kind, kind).format(key) if kind else kind, name))
        rows += [(int(key), f"{key}.twice@example.com", "C") for key in sorted(self.twice)]
        return rows + [(None, "x@example.com", "D")] * self.unkeyed


days = st.builds(
    Day,
    people=PEOPLE,
    twice=st.sets(st.sampled_from(KEYS), max_size=2),
    unkeyed=st.integers(0, 2),
    plans=PLANS,
    answers=st.lists(st.sampled_from(["accept", 400, 503, "timeout_lost"]), max_size=6),
    due=st.sampled_from([(IDENTITY, PLAN), (IDENTITY, PLAN), (PLAN,), (IDENTITY,)]),
)


class Count:
    """What every contact is, worked out one by one from the tables and the state."""

    def __init__(self, world: World, due: tuple[str, ...], refused: Dict[str, Any]) -> None:
        self.contacts = dict(world.state.contacts)
        self.due = due
        #: The body that Meisa rejected last, by contact.
        self.refused = refused
        self.people: dict[str, list[Row]] = defaultdict(list)
        self.unkeyed = 0
        for row in world.rows(IDENTITY):
            if row[0] is None:
                self.unkeyed += 1
            else:
                self.people[canonical_key(row[0])].append(row)
        self.plans: dict[Any, Any] = dict(world.rows(PLAN))
        self.whole = IDENTITY in due

    def summary(self) -> Summary:
        """Return the figures."""
        present = {key for key, contact in self.contacts.items() if contact.present}
        here = set(self.people) if self.whole else present
        actions = Counter(self.action(key) for key in here)
        return Summary(
            create=actions["create"],
            update=actions["update"],
            unchanged=actions["unchanged"],
            invalid=actions["invalid"] + self.unkeyed * self.whole,
            quarantined=actions["quarantined"],
            removed=len(set(self.contacts) - here),
            orphan=sum(key not in here for key in self.plans) if PLAN in self.due else 0,
            requests=actions["create"] + actions["update"],
        )

    def action(self, key: str) -> str:
        """Return what one contact is counted as."""
        if self.unusable(key):
            return "invalid"
        contact = self.contacts.get(key)
        ledger = contact.ledger if contact is not None else {}
        doubt = contact.in_doubt if contact is not None else frozenset()
        wanted = self.wanted(key)
        different = {
            name: value
            for name, value in wanted.items()
            if name in doubt or ledger.get(name) != value
        }
        if not different:
            return "unchanged"
        body: dict[str, Any] = {"external_id": key, **different, "email": wanted["email"]}
        if contact is not None and contact.quarantine and self.refused[key] == body:
            return "quarantined"
        return "update" if ledger else "create"

    def wanted(self, key: str) -> dict[str, Any]:
        """Return the values that Meisa should hold."""
        contact = self.contacts.get(key)
        observed = {**contact.ledger, **contact.pending} if contact is not None else {}
        wanted = {name: observed.get(name) for name in ("email", "first_name")}
        if self.whole:
            ((_, wanted["email"], wanted["first_name"]),) = self.people[key]
        new = contact is None or not contact.present
        # Whoever was unusable is looked up like somebody new, but for what is missing.
        looked_up = self.whole and contact is not None and contact.invalid and key in self.plans
        if PLAN in self.due or new or looked_up:
            wanted["custom_fields.plan"] = self.plans.get(key)
        else:
            wanted["custom_fields.plan"] = observed.get("custom_fields.plan")
        return wanted

    def unusable(self, key: str) -> bool:
        """Tell whether the contact's row, or its address, keeps it from being sent."""
        if not self.whole:
            return bool(self.contacts[key].invalid)
        rows = self.people[key]
        if len(rows) > 1 or rows[0][1] in {None, "nobody"}:
            return True
        address = email_key(rows[0][1])
        holders = {k for k, c in self.contacts.items() if c.acknowledged_email_key == address}
        users = {k for k, rows in self.people.items() if email_key(rows[0][1] or "") == address}
        return key not in holders and bool((holders | users) - {key})


def flat(body: Dict[str, Any]) -> dict[str, Any]:
    """Return a request's body by field names, without the source."""
    fields = {
        name: value for name, value in body.items() if name not in {"custom_fields", "source"}
    }
    return fields | {f"custom_fields.{n}": v for n, v in body.get("custom_fields", {}).items()}


@given(past=st.lists(days, min_size=1, max_size=4))
@settings(max_examples=150, derandomize=True)
def test_every_contact_is_counted_once_and_as_what_it_is(past: list[Day]):
    """Create, update, unchanged, invalid, quarantined or removed; a dry run and a run agree."""
    world = World()
    refused: dict[str, Any] = {}
    world.table(IDENTITY, "external_id email first_name", [])
    world.table(PLAN, "external_id plan", [])
    for day in past:
        world.rows(IDENTITY)[:] = day.rows()
        world.rows(PLAN)[:] = list(day.plans.items())
        plan = world.plan(day.due)
        counted = Count(world, day.due, refused).summary()
        if not any(hold.reason == "empty" and hold.mapping == IDENTITY for hold in plan.holds):
            assert plan.summary == counted
        world.meisa.answers.extend(day.answers)
        ran = world.sync(day.due, approve=plan.digest if plan.holds else "")
        assert ran.plan.summary == plan.summary
        world.meisa.answers.clear()
        for request in world.meisa.requests:
            if request.status == 400:
                refused[request.body["external_id"]] = flat(request.body)
        world.clock.advance(1000.0)
