"""Whatever happens to dated rows, Meisa ends up with what the app has."""

from dataclasses import dataclass, field

from hypothesis import given, settings, strategies as st

from meisa_cdc.core.durations import iso
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.watermark import OVERLAP
from meisa_cdc.sync.capture import FULL_EVERY
from tests.unit.sync.worlds import IDENTITY, PLAN, World, windows

KEYS = [str(key) for key in range(1, 7)]
#: Who has a plan, but is no contact yet.
LATER = KEYS[4:]
keys = st.sampled_from(KEYS[1:])
#: Seconds between an app's writing a time and its commit; of those a pass knows.
lags = st.floats(0, OVERLAP - 1)
changes = st.one_of(
    st.tuples(st.just("change"), keys, st.sampled_from(["free", "pro", "team"]), lags),
    st.tuples(st.just("spoil"), keys, lags),
    st.tuples(st.just("drop"), keys),
    st.tuples(st.just("leave"), keys),
    st.tuples(st.just("come"), keys, lags),
    st.tuples(st.just("pass"), st.floats(0, 3 * OVERLAP)),
    st.tuples(st.just("dry"), st.floats(0, OVERLAP)),
    st.tuples(st.just("fail"), st.sampled_from([PLAN, IDENTITY])),
)


@dataclass(slots=True)
class App:
    """An app whose rows say when they changed, unless they are deleted."""

    world: World = field(
        default_factory=lambda: World(
            guard=GuardSettings(first_load="send", max_change=1.0, max_missing=1.0),
            windows=windows("1000000/1s"),
        )
    )
    #: Whose rows were deleted since everything was read.
    silent: set[str] = field(default_factory=set)
    #: Whose plan is unusable, and of those who were seen to be so.
    spoilt: set[str] = field(default_factory=set)
    watched: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Everybody is there, with a plan."""
        self.world.people(*(key for key in KEYS if key not in LATER))
        self.world.plans(dict.fromkeys(KEYS, "free"))
        for name in (IDENTITY, PLAN):
            self.world.source.tables[name].changed = {}
        self.world.sync()

    def put(self, name: str, key: str, *row: object, lag: float = 0.0) -> None:
        """Write a row, and the time a while ago."""
        rows = self.world.rows(name)
        rows[:] = [each for each in rows if each[0] != key]
        rows.append((key, *row))
        table = self.world.source.tables[name]
        assert table.changed is not None
        table.changed[key] = iso(self.world.clock.now() - lag).replace("T", " ")[:19]

    def remove(self, name: str, key: str) -> None:
        """Delete a row; nothing says so."""
        rows = self.world.rows(name)
        rows[:] = [each for each in rows if each[0] != key]
        # Who was told of is looked at every time, and so is seen to be gone.
        if name == IDENTITY or key not in self.watched:
            self.silent.add(key)
        self.spoilt.discard(key)

    def do(self, what: str, *how: object) -> None:
        """Do one of the changes."""
        if what == "change":
            key, plan, lag = how
            self.put(PLAN, str(key), plan, lag=float(str(lag)))
            self.silent.discard(str(key))
            self.spoilt.discard(str(key))
        elif what == "spoil":
            key, lag = how
            self.put(PLAN, str(key), float("nan"), lag=float(str(lag)))
            self.spoilt.add(str(key))
        elif what == "come":
            key, lag = how
            self.put(IDENTITY, str(key), f"{key}@example.com", "Back", lag=float(str(lag)))
        elif what in {"drop", "leave"}:
            self.remove(PLAN if what == "drop" else IDENTITY, str(how[0]))
        elif what == "fail":
            self.world.source.failing.add(str(how[0]))
            self.world.sync()
            self.world.source.failing.clear()
        else:
            if what == "dry":
                self.world.plan()
            else:
                self.world.sync()
                self.agrees(except_for=self.silent | self.spoilt)
                self.watched = set(self.spoilt)
            self.world.clock.advance(float(str(how[0])))

    def agrees(self, except_for: set[str]) -> None:
        """Make sure that Meisa has the plans of those who are there."""
        plans = {str(row[0]): row[1] for row in self.world.rows(PLAN)}
        for row in self.world.rows(IDENTITY):
            key = str(row[0])
            if key not in except_for:
                held = self.world.held_at_meisa(key)
                assert held is not None
                assert held.get(
                    "custom_fields.plan", held.get("custom_fields", {}).get("plan")
                ) == (plans.get(key)), key


@settings(max_examples=150, derandomize=True)
@given(st.lists(changes, max_size=30))
def test_dated_changes_arrive_at_once_and_others_with_the_full_read(
    steps: list[tuple[object, ...]],
):
    """In whichever order rows change, vanish, come back, and passes fail."""
    app = App()
    for what, *how in steps:
        app.do(str(what), *how)
    app.world.clock.advance(FULL_EVERY)
    app.world.sync()
    app.agrees(except_for=app.spoilt)
