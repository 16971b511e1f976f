"""A contact that is new to us comes to the same as one on record that nothing is known of."""

from collections.abc import Mapping as Dict, Sequence
from dataclasses import replace

from hypothesis import event, given, strategies as st

from meisa_cdc.core.contact import Claim, Contact, Staged
from meisa_cdc.core.diff import Comparison, compare
from meisa_cdc.core.fields import Reading
from meisa_cdc.core.mapping import FieldSettings, Mapping, Priority
from meisa_cdc.core.plan import Tallies
from meisa_cdc.core.policy import Policy
from meisa_cdc.core.values import Value

PEOPLE, PLAN, TAGS = "contacts/people", "contacts/plan", "tags/plans"
ADA = "ada@example.com"

settings_of_plan = st.builds(
    FieldSettings,
    missing=st.sampled_from([None, "none", 0]),
    keep=st.booleans(),
    null=st.sampled_from([None, "send", "skip"]),
    priority=st.sampled_from([None, Priority.URGENT, Priority.BACKGROUND]),
    policy=st.builds(Policy, send=st.sampled_from(["always", "with_others"])),
)
values = st.sampled_from([None, "", "free", "pro", 0, 7, 1.5, ["a"], {"b": None}])
errors = st.dictionaries(st.just("plan"), st.just(("wrong_type", "no number")), max_size=1)


def staged(columns: Dict[str, st.SearchStrategy[object]]) -> st.SearchStrategy[Staged]:
    """Return rows with these columns, unusable ones and missing ones."""
    usable = st.builds(
        row, st.fixed_dictionaries({}, optional=columns), errors, st.sampled_from([None, 3])
    )
    return usable | st.sampled_from(
        [Staged(row=False), Staged(row=False, had_row=True), Staged(duplicate="two of them")]
    )


def row(values: dict[str, Value], errors: dict[str, tuple[str, str]], place: int | None) -> Staged:
    """Return a row."""
    return Staged(values=values, errors=errors, fingerprint=b"row", place=place)


people = staged(
    {
        "email": st.sampled_from([ADA, f" {ADA} ", "nobody", "", None, 5]),
        "first_name": values,
        "source": st.sampled_from([None, "signup", "import"]),
    }
)
plans = staged({"plan": values, "seats": values})
tags = staged({TAGS: st.sampled_from([None, [], ["a"], ["a", "b"]])})
LEAVES = frozenset({"email", "custom_fields.plan"})
claims = st.lists(
    st.sampled_from(
        [
            Claim("1", ADA, holds=False, observes=True),
            Claim("1", ADA, holds=True, observes=True),
            Claim("2", ADA, holds=False, observes=True),
            Claim("2", ADA, holds=True, observes=False),
            Claim("2", ADA, holds=True, observes=False, leaves=LEAVES),
        ]
    ),
    max_size=2,
)


@st.composite
def readings(draw: st.DrawFn) -> Sequence[Reading]:
    """Return what a pass knows of the mappings."""
    fields = {"plan": draw(settings_of_plan), "seats": draw(settings_of_plan)}
    found = [
        reading(PEOPLE, ("email", "first_name", "source"), {}),
        reading(PLAN, ("plan", "seats"), fields, covers_new=draw(st.booleans())),
    ]
    if draw(st.booleans()):
        found.append(reading(TAGS, (TAGS,), {}))
    return [replace(each, introduced=draw(st.frozensets(each_name(each)))) for each in found]


def each_name(reading: Reading) -> st.SearchStrategy[str]:
    """Return one of a mapping's fields."""
    return st.sampled_from(sorted(reading.names))


def reading(
    name: str,
    columns: tuple[str, ...],
    fields: Dict[str, FieldSettings],
    *,
    covers_new: bool = True,
) -> Reading:
    """Return what a pass knows of one mapping."""
    mapping = Mapping(name=name, text="", digest="", fields=dict(fields))
    return Reading(mapping=mapping, columns=columns, covers_new=covers_new, missing=b"none")


@given(
    rows=st.fixed_dictionaries(
        {}, optional={PEOPLE: people, PLAN: plans, TAGS: tags, "contacts/other": plans}
    ),
    readings=readings(),
    claims=claims,
    first_load=st.booleans(),
)
def test_the_short_way_comes_to_the_same(rows, readings, claims, first_load: bool):
    """A first load may not mean anything else than the same rows would a day later."""

    def look(known: Contact | None) -> Comparison:
        return compare(
            "1",
            known,
            rows,
            readings,
            identity=PEOPLE,
            claims=claims,
            first_load=first_load,
            now=100.0,
        )

    there = PEOPLE in rows and rows[PEOPLE].row
    short = look(None)
    event(str(short.action))
    if not there:
        assert short.contact is None
        return
    long = look(Contact(external_id="1", present=False, first_load=first_load))
    expected = long._replace(known=False)
    if short.action == "invalid":
        # Nothing is marked that is not on record.
        expected = expected._replace(contact=None)
    assert short._replace(firsts=(), differences=short.changes) == expected
    assert figures(short) == figures(expected)


def figures(comparison: Comparison) -> object:
    """Return what a plan tells of one contact."""
    tallies = Tallies(dict.fromkeys((PEOPLE, PLAN, TAGS), ""))
    tallies.add(comparison, was_present=False)
    counted = (tallies.by_field, tallies.sole, tallies.requests, tallies.changed, tallies.created)
    return counted, tallies.invalid, tallies.digest_of_all()
