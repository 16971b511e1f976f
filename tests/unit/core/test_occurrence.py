"""A row becomes what is done once, or says why it cannot."""

import pytest

from meisa_cdc.core.arrivals import Count, occurrence_document, told
from meisa_cdc.core.errors import InvalidValue, MappingError
from meisa_cdc.core.guard import GuardSettings, judge_arrivals
from meisa_cdc.core.mapping import Mapping, kind_of
from meisa_cdc.core.occurrence import (
    Occurrence,
    bulk_body,
    check_columns,
    idempotency_key,
    key_of,
    occurrence_of,
)

NOW = 1000.0


def mapping(kind: str, **settings) -> Mapping:
    """Return a mapping of this kind."""
    return Mapping(name=f"{kind}/some", kind=kind, text="", digest="d", **settings)


def made(kind: str, **values) -> Occurrence:
    """Return the occurrence of a row."""
    return occurrence_of(mapping(kind), "k", values, NOW)


def code(kind: str, **values) -> str:
    """Return why a row cannot be used."""
    with pytest.raises(InvalidValue) as caught:
        made(kind, **values)
    return caught.value.code


@pytest.mark.parametrize(
    ("kind", "columns", "message"),
    [
        ("events", "event_id event_name", "neither external_id nor email"),
        ("events", "event_id external_id", "no column is called event_name. A mapping in events/"),
        ("events", "event_name email", "no column is called event_id"),
        ("events", "event_id event_name email a a", "the column 'a' occurs twice"),
        ("emails", "email_id to_email", "needs email_id, trigger_key, to_email"),
        ("emails", "email_id trigger_key to_email recipient_", "'recipient_' names no field"),
        ("sequences", "sequence_slug", "no column is called email"),
        ("sequences", "sequence_slug email plan", "no place for the column 'plan'"),
    ],
)
def test_columns_that_cannot_be(kind, columns, message):
    """Each is named, with what to do."""
    with pytest.raises(MappingError) as caught:
        check_columns(mapping(kind), columns.split())
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("events", "event_id event_name external_id email occurred_at anything"),
        ("events", "event_id event_name email"),
        ("emails", "email_id trigger_key to_email code recipient_first_name"),
        ("sequences", "email sequence_slug"),
    ],
)
def test_columns_that_can_be(kind, columns):
    """In any order."""
    check_columns(mapping(kind), columns.split())


@pytest.mark.parametrize(
    ("kind", "row", "key"),
    [
        ("events", {"event_id": 5.0}, "5"),
        ("emails", {"email_id": "a b"}, "a b"),
        ("sequences", {"sequence_slug": " trial ", "email": " A@X.com"}, "trial a@x.com"),
    ],
)
def test_the_key_of_a_row(kind, row, key):
    """The same however a driver hands it over."""
    assert key_of(kind, row) == key


@pytest.mark.parametrize(
    ("kind", "row", "code"),
    [
        ("events", {"event_id": None}, "key_null"),
        ("emails", {"email_id": " "}, "key_blank"),
        ("sequences", {"sequence_slug": None, "email": "a@x.com"}, "sequence_slug_missing"),
        ("sequences", {"sequence_slug": "trial", "email": "a"}, "email_malformed"),
        ("sequences", {"sequence_slug": "t" * 255, "email": "a@x.com"}, "key_too_long"),
    ],
)
def test_rows_without_a_key(kind, row, code):
    """They are known by nothing, so nothing can be done."""
    with pytest.raises(InvalidValue) as caught:
        key_of(kind, row)
    assert caught.value.code == code


def test_an_event_says_whose_it_is_once():
    """The app's own id counts; NULL properties are left out."""
    found = made(
        "events",
        event_name=" exported ",
        external_id=7,
        email="a@x.com",
        size=None,
        format="csv",
        occurred_at="1970-01-01T00:01:00Z",
    )
    assert found.body == {
        "event_name": "exported",
        "external_id": "7",
        "properties": {"format": "csv", "occurred_at": "1970-01-01T00:01:00Z"},
    }
    assert (found.external_id, found.email, found.occurred_at) == ("7", "", 60.0)
    assert found.who == "7"


@pytest.mark.parametrize("at", [None, 5, "soon", "2026-01-01T00:00:00"])
def test_an_event_without_a_usable_time_is_ordered_by_when_it_was_seen(at):
    """Whatever the column holds is still a property."""
    found = made("events", event_name="x", email=" a@x.com ", occurred_at=at)
    assert found.occurred_at is None
    assert found.who == found.body["email"] == "a@x.com"


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("events", {"event_name": "x"}, "contact_missing"),
        ("events", {"event_name": 5, "email": "a@x.com"}, "event_name_missing"),
        ("events", {"event_name": "x", "email": "nobody"}, "email_malformed"),
        ("events", {"event_name": "x", "external_id": ""}, "key_blank"),
        ("emails", {"trigger_key": "t", "to_email": None}, "email_missing"),
        ("emails", {"trigger_key": "", "to_email": "a@x.com"}, "trigger_key_missing"),
    ],
)
def test_rows_that_cannot_be_used(kind, values, expected):
    """Each has its code."""
    assert code(kind, **values) == expected


def test_a_mail_without_details_has_none():
    """What is empty is left out."""
    assert made("emails", trigger_key="t", to_email="a@x.com").body == {
        "trigger_key": "t",
        "to_email": "a@x.com",
        "idempotency_key": idempotency_key("emails/some", "k"),
    }


def test_the_idempotency_key_is_of_mapping_and_id():
    """The same for ever, and for nothing else."""
    assert idempotency_key("emails/a", "1") == idempotency_key("emails/a", "1")
    assert len({idempotency_key(*each) for each in (("a", "1"), ("a", "11"), ("a1", "1"))}) == 3
    assert len(idempotency_key("emails/" + "x" * 300, "y" * 255)) < 64


def test_enrolments_of_one_request_name_each_address_once():
    """In the spelling that came first."""
    both = [made("sequences", sequence_slug="t", email=email) for email in ("A@x.com", "a@X.com")]
    assert bulk_body(both) == {"sequence_slug": "t", "emails": ["A@x.com"]}
    assert both[0].slug == "t"


def test_the_kind_of_a_name():
    """Is its folder."""
    assert kind_of("events/a") == "events"


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("events", {"event_name": "exported", "email": "a@x.com"}, "track exported"),
        ("emails", {"trigger_key": "receipt", "to_email": "a@x.com"}, "send receipt"),
        ("sequences", {"sequence_slug": "trial", "email": "a@x.com"}, "enrol in trial"),
    ],
)
def test_what_would_happen_is_told(kind, values, words):
    """In a few words, and as a document."""
    found = made(kind, **values)
    assert told(found) == words
    document = occurrence_document(found, held=False)
    assert (document["status"], document["email"], document["external_id"]) == (
        "new",
        "a@x.com",
        None,
    )
    assert occurrence_document(found, held=True)["status"] == "held"


def test_what_waits_says_for_what():
    """Once it is on record, it has a standing."""
    waiting = Occurrence(ref=1, mapping="events/a", kind="events", key="1", blocked="no_contact")
    document = occurrence_document(waiting, held=False)
    assert (document["status"], document["blocked"]) == ("waiting", "no_contact")


def count(*occurrences: Occurrence, since: float | None = 10.0, **settings) -> Count:
    """Return the count of these occurrences of one mapping."""
    kind = occurrences[0].kind if occurrences else "events"
    found = Count(mapping=mapping(kind, **settings), since=since, file="d")
    for each in occurrences:
        found.add(each)
    return found


def enrolment(slug: str, number: int) -> Occurrence:
    """Return an enrolment."""
    return made("sequences", sequence_slug=slug, email=f"{number}@x.com")


def test_requests_of_enrolments_are_shared():
    """500 a request, of each sequence; what waits is taken to share them too."""
    found = count(*(enrolment("a", n) for n in range(501)), enrolment("b", 1))
    assert found.expected(waiting=0).requests == 3
    assert found.expected(waiting=501).requests == 5


def test_every_event_is_a_request():
    """Those that wait already, too."""
    event = made("events", event_name="x", email="a@x.com")
    assert count(event).expected(waiting=2).requests == 3


def test_the_first_run_takes_a_baseline_unless_it_is_to_backfill():
    """Nothing would happen, so there is nothing to approve."""
    event = made("events", event_name="x", email="a@x.com")
    first = count(event, since=None)
    assert (first.expected(0).new, first.expected(0).baseline, first.digest) == (0, 1, "")
    assert judge_arrivals(first.arrivals(), GuardSettings(max_new_rows=1)) is None
    whole = count(event, since=None, backfill=True)
    assert (whole.expected(0).new, whole.expected(0).baseline) == (1, 0)
    assert not whole.arrivals().edited


def test_the_digest_names_rows_and_file():
    """Other rows, another digest; no rows, none."""
    one, two = (made("events", event_name=name, email="a@x.com") for name in "ab")
    assert count(one).digest == count(one).digest
    assert len({count(one).digest, count(two).digest, count(one, two).digest}) == 3
    assert count().digest == ""


@pytest.mark.parametrize(
    ("since", "every", "held"),
    [(86400.0, None, False), (86401.0, None, True), (86401.0, 60.0, False), (1e6, 604800.0, True)],
)
def test_a_pass_is_late_after_a_day_and_its_own_interval(since, every, held):
    """A mapping that is read weekly is not late each time."""
    event = made("events", event_name="x", email="a@x.com")
    hold = judge_arrivals(count(event, since=since, every=every).arrivals(), GuardSettings())
    assert (hold is not None) == held
    if hold is not None:
        assert hold.reason == "late"
