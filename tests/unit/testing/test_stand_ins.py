"""The stand-ins that other tests rely on."""

import pytest

from meisa_cdc.core.contact import Contact
from meisa_cdc.core.outcome import Answer
from meisa_cdc.records import Settled
from meisa_cdc.testing import HandClock, MemoryState, ScriptedMeisa


def body(key: str = "7", email: str = "a@example.com", **fields) -> dict:
    """Return the body of an upsert."""
    return {"email": email, "external_id": key, **fields}


@pytest.fixture
def clock() -> HandClock:
    """Return a clock that stands still."""
    return HandClock(1000.0)


@pytest.fixture
def meisa(clock: HandClock) -> ScriptedMeisa:
    """Return a Meisa without a script."""
    return ScriptedMeisa(clock)


def held(meisa: ScriptedMeisa, key: str = "7") -> dict:
    """Return what Meisa holds of a contact, by field."""
    found = meisa.find(key)
    assert found is not None
    return found.fields()


def test_a_clock_moves_when_told(clock: HandClock):
    """Sleeping takes no time but the clock's; it can be set to any time."""
    clock.sleep(2.5)
    clock.sleep(-1.0)
    assert clock.now() == 1002.5
    clock.advance(-10.0)
    assert clock.now() == 992.5
    clock.set(5.0)
    assert clock.now() == 5.0


def test_an_upsert_creates_and_then_merges(meisa: ScriptedMeisa):
    """What is not sent stays; the source too; the answer shows the whole contact."""
    first = meisa.upsert(
        body(source="signup", first_name="Ann", custom_fields={"a": 1, "b": 2}, tag_names=["x"])
    )
    again = meisa.upsert(body(source="api", custom_fields={"b": None}, tag_names=["x", "y"]))
    assert (first.status, again.status) == (201, 200)
    assert again.body["id"] == first.body["id"]
    assert again.body["source"] == "signup"
    assert [tag["name"] for tag in again.body["tags"]] == ["x", "y"]
    assert held(meisa) == {
        "email": "a@example.com",
        "first_name": "Ann",
        "custom_fields.a": 1,
        "custom_fields.b": None,
        "tag_names": ["x", "y"],
    }


def test_a_contact_is_matched_by_key_and_then_by_address(meisa: ScriptedMeisa):
    """A new address re-keys nothing; a new key takes the contact with the address."""
    meisa.upsert(body("7", "a@example.com"))
    assert meisa.upsert(body("7", "b@example.com")).status == 200
    assert meisa.upsert(body("8", "B@Example.com")).body["external_id"] == "8"
    assert meisa.find("7") is None
    meisa.upsert(body("9", "c@example.com"))
    assert meisa.upsert(body("8", "c@example.com")).status == 409
    without_key = {"email": "c@example.com", "last_name": "Lee"}
    assert meisa.upsert(without_key).body["external_id"] == "9"


def test_a_contact_may_be_forgotten(meisa: ScriptedMeisa):
    """What a person deletes over there is created again by the next upsert."""
    meisa.upsert(body())
    meisa.forget("7")
    meisa.forget("unknown")
    assert meisa.upsert(body()).status == 201


@pytest.mark.parametrize(
    ("scripted", "answer", "applied"),
    [
        ("accept", (201, True), True),
        ("timeout_applied", (0, True), True),
        ("timeout_lost", (0, True), False),
        ("reset", (0, True), False),
        ("not_sent", (0, False), False),
        ("late", (0, True), False),
        (503, (503, True), False),
        (Answer(status=429, retry_after=7.0), (429, True), False),
    ],
)
def test_a_script_is_followed_once(meisa: ScriptedMeisa, scripted, answer, applied: bool):
    """Each entry is one request's fate; after the last one everything is accepted."""
    meisa.answers.append(scripted)
    given = meisa.upsert(body())
    assert (given.status, given.sent) == answer
    assert (meisa.find("7") is not None) == applied
    assert meisa.upsert(body()).status in {200, 201}


def test_a_late_request_takes_effect_when_told(meisa: ScriptedMeisa):
    """Even after a newer one, whose values it overwrites."""
    meisa.answers.append("late")
    meisa.upsert(body(custom_fields={"plan": "old"}))
    meisa.upsert(body(custom_fields={"plan": "new"}))
    assert meisa.apply_late() == 1
    assert held(meisa)["custom_fields.plan"] == "old"
    assert meisa.apply_late() == 0


def test_requests_are_remembered_with_their_times(meisa: ScriptedMeisa, clock: HandClock):
    """When each started, what it said, how it was answered, and how dense they were."""
    meisa.latency = 3.0
    meisa.answers.extend([500, "reset"])
    for _ in range(3):
        meisa.upsert(body())
    clock.advance(60.0)
    meisa.upsert(body("8", "b@example.com"))
    assert [(sent.at, sent.status) for sent in meisa.requests] == [
        (1000.0, 500),
        (1003.0, 0),
        (1006.0, 201),
        (1069.0, 201),
    ]
    assert meisa.requests[3].body["external_id"] == "8"
    assert [meisa.most_within(period) for period in (3.0, 6.1, 100.0)] == [1, 3, 4]


def test_the_key_and_the_list_are_as_set(meisa: ScriptedMeisa):
    """Both are plain values that a test may replace."""
    assert meisa.ping() is meisa.key
    assert meisa.unsubscribed_emails() is meisa.suppressed


class Crashed(BaseException):
    """The process died."""


@pytest.mark.parametrize(("step", "stored"), [("settle.before", False), ("settle.after", True)])
def test_a_state_in_memory_outlives_a_crash(step: str, stored: bool):
    """A crash before the commit leaves nothing of it, one after it everything."""
    state = MemoryState()

    def die(reached: str) -> None:
        if reached == step:
            raise Crashed

    state.on_step = die
    with pytest.raises(Crashed):
        state.settle(["7"], lambda key, _: Settled(contact=Contact(external_id=key)), now=1.0)
    assert ("7" in state.load(["7"])) == stored


def test_a_meisa_tells_of_its_sequences(meisa: ScriptedMeisa):
    """None, until a test gives it some."""
    assert meisa.sequence_statuses() == {}
    meisa.sequences["trial"] = "active"
    assert meisa.sequence_statuses() == {"trial": "active"}
