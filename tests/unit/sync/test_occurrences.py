"""Events, e-mails and enrolments: each happens once, in its turn, or waits for a person."""

from dataclasses import replace

import pytest

from meisa_cdc.core.errors import ApprovalMismatch, SuppressionFailed
from meisa_cdc.core.guard import GuardSettings
from meisa_cdc.core.occurrence import Status, idempotency_key
from meisa_cdc.core.outcome import Answer
from meisa_cdc.sync.once import Limits
from meisa_cdc.sync.overrides import baseline
from meisa_cdc.testing import MemorySuppressions
from tests.unit.sync.worlds import Delayed, Lanes, World, windows

EVENTS, EMAILS, SEQUENCES = "events/done", "emails/receipts", "sequences/trial"
DAY = 86400.0


@pytest.fixture
def events(world: World) -> World:
    """Return a world in step, with a mapping of events that was read once and had no rows."""
    world.table(EVENTS, "event_id event_name external_id feature", [])
    world.sync()
    world.bodies()
    return world


@pytest.fixture
def emails(world: World) -> World:
    """Return a world in step, with e-mails enabled and a fresh suppression list."""
    world.emails = True
    world.suppressions.as_of = world.clock.now()
    world.table(EMAILS, "email_id trigger_key to_email total recipient_first_name", [])
    world.sync()
    world.bodies()
    return world


@pytest.fixture
def sequences(world: World) -> World:
    """Return a world in step, with a mapping of enrolments that had no rows."""
    world.table(SEQUENCES, "sequence_slug email", [])
    world.sync()
    world.bodies()
    return world


def happen(world: World, *numbers: int, contact: int = 1) -> None:
    """Add events to the app."""
    world.rows(EVENTS).extend((n, "exported", contact, "csv") for n in numbers)


def bill(world: World, *numbers: int, to: str = "1@example.com") -> None:
    """Add receipts to send to the app."""
    world.rows(EMAILS).extend((n, "receipt", to, n * 10, "Ann") for n in numbers)


def standing(world: World) -> dict[str, str]:
    """Return where each occurrence stands, by its key."""
    return {each.key: str(each.status) for each in world.state.once.values()}


def tracked(world: World) -> list[str]:
    """Return the names of the events that happened over there."""
    return [event["properties"]["feature"] for event in world.meisa.deeds.events]


# ------------------------------------------------------------------ what happens once


def test_what_is_there_at_the_first_run_is_the_baseline(world: World):
    """Events of the past are taken as tracked."""
    world.table(EVENTS, "event_id event_name external_id", [(1, "exported", 1)])
    assert world.plan().occurrences[0].baseline == 1
    world.sync()
    assert world.meisa.deeds.events == []
    assert standing(world) == {"1": "baseline"}


def test_with_backfill_the_past_happens_as_well(world: World):
    """Whoever asks for it gets the events of the past, contacts first."""
    rows = [(1, "exported", 1), (2, "exported", 2)]
    world.table(EVENTS, "event_id event_name external_id", rows, backfill=True)
    ran = world.sync()
    assert [event["external_id"] for event in world.meisa.deeds.events] == ["1", "2"]
    assert ran.occurrences[Status.DONE] == 2


def test_a_new_event_is_tracked_once(events: World):
    """Its columns are its properties; the next run finds nothing to do."""
    happen(events, 7)
    assert events.plan().summary.requests == 1
    events.sync()
    events.sync()
    assert events.bodies() == [
        {"event_name": "exported", "external_id": "1", "properties": {"feature": "csv"}}
    ]
    assert standing(events) == {"7": "done"}
    assert events.state.once[1].body == {}


def test_an_event_that_changes_or_vanishes_is_not_tracked_again(events: World):
    """Its id is remembered for ever."""
    happen(events, 7)
    events.sync()
    events.rows(EVENTS)[0] = (7, "renamed", 2, "xml")
    events.sync()
    events.rows(EVENTS).clear()
    events.sync()
    happen(events, 7)
    events.sync()
    assert len(events.meisa.deeds.events) == 1


def test_an_event_waits_for_its_contact(events: World):
    """A contact that is new goes first, also where its event is seen with it."""
    events.people(1, 2, 3, 4)
    happen(events, 7, contact=4)
    events.sync()
    bodies = events.bodies()
    assert [body.get("event_name", "contact") for body in bodies] == ["contact", "exported"]


def test_an_event_without_a_contact_waits_and_holds_nothing_up(events: World):
    """Nobody is tracked that Meisa does not know; the run ends all the same."""
    happen(events, 7, contact=99)
    happen(events, 8, contact=1)
    events.run(due=frozenset(events.mappings)).run()
    assert standing(events) == {"7": "waiting", "8": "done"}
    assert events.state.once[1].blocked == "no_contact"
    events.people(1, 2, 3, 99)
    events.clock.advance(60)
    events.sync()
    assert standing(events)["7"] == "done"


def test_a_pending_change_of_the_contact_goes_before_its_event(events: World):
    """The automation that reacts sees the contact as the app does."""
    events.plans({1: "pro", 2: "pro"})
    events.edit("contacts/plan", digest="first edition")
    happen(events, 7)
    with events.look() as look:
        events.passes().admit(look, replace_holds=False)
    event = events.state.once[1]
    events.state.once[1] = replace(event, since=event.since - 100, rank=0)
    events.sync(due=[])
    assert [body.get("event_name", "contact") for body in events.bodies()] == [
        "contact",
        "exported",
    ]


def test_a_contact_that_was_put_off_holds_its_event_back(events: World):
    """The event is tried when the contact is, and not before."""
    events.plans({1: "pro", 2: "pro"})
    events.meisa.answers.append(503)
    happen(events, 7)
    events.sync()
    assert [s.status for s in events.meisa.requests] == [503]
    assert events.state.once[1].not_before == events.state.not_before["1"] > 0
    events.clock.advance(900)
    events.sync()
    assert len(events.meisa.deeds.events) == 1


def test_an_event_by_address_finds_its_contact(world: World):
    """Where the app knows the address alone, that of the ledger counts."""
    world.table(EVENTS, "event_id event_name email", [])
    world.sync()
    world.rows(EVENTS).append((1, "subscribed", "2@EXAMPLE.com"))
    world.rows(EVENTS).append((2, "subscribed", "nobody@example.com"))
    world.sync()
    assert standing(world) == {"1": "done", "2": "waiting"}
    assert world.meisa.deeds.events == [{"event_name": "subscribed", "email": "2@EXAMPLE.com"}]


def test_two_requests_of_one_contact_are_never_under_way_at_once(events: World):
    """Neither two events, nor an event and an update."""
    events.lanes = lanes = Delayed()
    events.concurrency = 4
    happen(events, 7, 8)
    events.admit()
    push = events.push()
    push.step()
    assert len(lanes.waiting) == 1
    events.plans({1: "pro", 2: "pro"})
    events.admit()
    push.step()
    assert len(lanes.waiting) == 1
    lanes.answer_all()
    push.step()
    assert [body.get("event_name", "contact") for body in events.bodies()] == ["exported"]
    assert len(lanes.waiting) == 1


# ------------------------------------------------------------------ what is not certain


@pytest.mark.parametrize("fault", ["timeout_applied", "timeout_lost", "reset", 500, 503, 408])
def test_an_event_without_a_certain_answer_is_parked(events: World, fault):
    """It may have been tracked, so a person decides."""
    happen(events, 7)
    events.meisa.answers.append(fault)
    ran = events.sync()
    assert ran.occurrences[Status.PARKED] == 1
    events.clock.advance(DAY / 2)
    events.sync()
    assert standing(events) == {"7": "parked"}
    assert len(events.meisa.requests) == 1


def test_an_answer_that_is_no_answer_parks_as_well(events: World):
    """A proxy's page with status 200 says nothing."""
    happen(events, 7, 8, 9)
    events.meisa.answers += [
        Answer(status=200, error="not JSON"),
        Answer(status=200, body={"ok": True}),
        Answer(status=200, body={"status": "error"}),
    ]
    events.sync()
    assert set(standing(events).values()) == {"parked"}


def test_at_least_once_an_event_is_tried_until_it_is_taken(events: World):
    """Whoever prefers two events to none says so."""
    events.edit(EVENTS, digest="first edition", at_least_once=True)
    happen(events, 7)
    events.meisa.answers += ["timeout_applied", 503]
    for _ in range(3):
        events.sync()
        events.clock.advance(900)
    assert standing(events) == {"7": "done"}
    assert len(events.meisa.deeds.events) == 2


@pytest.mark.parametrize("fault", [429, "not_sent", Answer(status=429, body={}, retry_after=5.0)])
def test_what_certainly_did_nothing_is_tried_again(events: World, fault):
    """A 429, or a connection that was refused, parks nothing."""
    happen(events, 7)
    events.meisa.answers.append(fault)
    events.sync()
    assert standing(events) == {"7": "waiting"}
    events.clock.advance(900)
    events.sync()
    assert len(events.meisa.deeds.events) == 1


@pytest.mark.parametrize("status", [400, 404, 409, 413, 422])
def test_an_event_that_meisa_refuses_is_rejected(events: World, status):
    """The others go on; this one waits for a person, with its body."""
    happen(events, 7, 8)
    events.meisa.answers.append(status)
    ran = events.sync()
    assert standing(events) == {"7": "rejected", "8": "done"}
    assert ran.occurrences[Status.REJECTED] == 1
    assert events.state.once[1].body["event_name"] == "exported"


def test_a_404_without_a_body_of_meisa_is_a_wrong_address(events: World):
    """What is not Meisa's own answer says nothing about the contact."""
    happen(events, 7)
    events.meisa.answers.append(Answer(status=404, error="not JSON"))
    ran = events.sync()
    assert standing(events) == {"7": "waiting"}
    assert "http_404" in ran.failures[0]


@pytest.mark.parametrize("status", [401, 302])
def test_a_wrong_key_halts_everything(events: World, status):
    """Contacts and events share the breaker."""
    happen(events, 7)
    events.meisa.answers.append(status)
    ran = events.sync()
    assert standing(events) == {"7": "waiting"}
    assert events.push().breaker.halted == f"http_{status}"
    assert ran.failures


def test_a_missing_scope_stops_its_kind_alone(events: World):
    """A key that may not track events still delivers contacts."""
    happen(events, 7, 8)
    events.plans({1: "free", 2: "free"})
    events.meisa.answers += ["accept", 403]
    ran = events.sync()
    assert not events.push().breaker.halted
    assert "events:track" in ran.failures[0]
    assert [sent.status for sent in events.meisa.requests] == [200, 403]
    assert set(standing(events).values()) == {"waiting"}
    events.clock.advance(900)
    assert not events.sync().failures
    assert len(events.meisa.deeds.events) == 2


def test_a_crash_between_intent_and_answer_parks(events: World):
    """Nobody knows whether the request left."""
    happen(events, 7)
    events.lanes = Delayed()
    events.admit()
    push = events.push()
    push.step()
    assert standing(events) == {"7": "sent"}
    events.push().step()
    assert standing(events) == {"7": "parked"}


def test_a_request_that_nobody_settled_is_found_after_its_deadline(events: World):
    """Should the state refuse the outcome, it is not lost."""
    happen(events, 7)
    events.lanes = Delayed()
    events.admit()
    push = events.push()
    push.step()
    push.once.flights.clear()
    push.step()
    assert standing(events) == {"7": "sent"}
    events.clock.advance(61)
    push.step()
    assert standing(events) == {"7": "parked"}


def test_a_person_settles_what_is_parked(events: World):
    """Done it stays so; tried again it goes with the next run."""
    happen(events, 7, 8)
    events.meisa.answers += ["timeout_lost", "timeout_applied"]
    events.sync()
    state = events.state
    assert state.resolve_occurrences(Status.DONE, keys=["8"], mappings=None) == 1
    assert state.resolve_occurrences(Status.WAITING, keys=None, mappings=[EVENTS]) == 1
    events.sync()
    assert standing(events) == {"7": "done", "8": "done"}
    assert len(events.meisa.deeds.events) == 2


# ------------------------------------------------------------------ e-mails


def test_mails_are_not_even_read_unless_enabled(world: World):
    """A folder of e-mails alone sends nothing and records nothing."""
    world.table(EMAILS, "email_id trigger_key to_email", [(1, "receipt", "1@example.com")])
    plan = world.plan()
    assert plan.not_enabled == (EMAILS,)
    world.sync()
    assert standing(world) == {}
    assert EMAILS not in world.state.mappings()


def test_mails_that_wait_stay_where_they_are_once_disabled(emails: World):
    """Switching off means that nothing more is sent."""
    bill(emails, 1)
    emails.admit()
    emails.emails = False
    emails.sync()
    assert standing(emails) == {"1": "waiting"}
    assert emails.meisa.deeds.mails == []


def test_a_mail_is_sent_once(emails: World):
    """Columns are variables, those of the recipient apart; its key is always the same."""
    bill(emails, 5)
    emails.sync()
    emails.sync()
    (body,) = emails.bodies()
    key = body.pop("idempotency_key")
    assert body == {
        "trigger_key": "receipt",
        "to_email": "1@example.com",
        "variables": {"total": 50},
        "recipient": {"first_name": "Ann"},
    }
    assert key == idempotency_key(EMAILS, "5")


def test_nobody_is_mailed_who_is_suppressed(emails: World):
    """Not in any spelling, and not even where the list came after the mail was admitted."""
    bill(emails, 5, to="Ann@Example.com")
    emails.admit()
    emails.suppressions.emails = frozenset({"ann@example.com"})
    emails.sync()
    assert standing(emails) == {"5": "skipped"}
    assert emails.state.once[1].code == "suppressed"
    assert emails.bodies() == []


@pytest.mark.parametrize("as_of", [None, -DAY - 1, 3600.0])
def test_mails_wait_for_a_list_of_today(emails: World, as_of):
    """One that was never pulled, is older than a day, or of the future, says nothing."""
    now = emails.clock.now()
    emails.suppressions.as_of = None if as_of is None else now + as_of
    bill(emails, 5)
    emails.sync()
    assert standing(emails) == {"5": "waiting"}
    assert emails.state.once[1].blocked == "no_suppression_list"
    emails.clock.advance(60)
    emails.suppressions.as_of = emails.clock.now()
    emails.sync()
    assert standing(emails) == {"5": "done"}


def test_mails_wait_where_the_table_cannot_be_read(emails: World):
    """Without an answer from the table nobody is written to."""

    class Broken(MemorySuppressions):
        """A table without rights."""

        def standing(self, emails):
            """Fail."""
            raise SuppressionFailed("no such table")

    emails.suppressions = Broken()
    bill(emails, 5)
    emails.sync()
    assert standing(emails) == {"5": "waiting"}


def test_a_mail_without_an_answer_is_tried_within_the_hour(emails: World):
    """Meisa recognises it by its key, so that it is sent once."""
    bill(emails, 5)
    emails.meisa.answers += ["timeout_applied", 503]
    for _ in range(3):
        emails.sync()
        emails.clock.advance(900)
    assert standing(emails) == {"5": "done"}
    assert len(emails.meisa.requests) == 3
    assert len(emails.meisa.deeds.mails) == 1


@pytest.mark.parametrize("moved", [3300.0, 5000.0, -10.0])
def test_a_mail_without_an_answer_is_parked_once_meisa_may_have_forgotten(emails: World, moved):
    """Also where the clock was set back, so that nobody knows how long ago it was."""
    bill(emails, 5)
    emails.meisa.answers.append("timeout_applied")
    emails.sync()
    emails.clock.advance(moved)
    emails.state.once[1] = replace(emails.state.once[1], not_before=0.0)
    emails.sync(limits=Limits())
    assert standing(emails) == {"5": "parked"}
    assert emails.state.once[1].code == "too_late"
    assert len(emails.meisa.requests) == 1


def test_the_hour_starts_with_the_first_try_that_may_have_worked(emails: World):
    """A 429 before it, and one after it, change nothing about that."""
    bill(emails, 5)
    emails.meisa.answers += [429, "timeout_applied", 429, "timeout_applied"]
    emails.sync()
    emails.clock.advance(2000)
    emails.sync()
    tried = emails.state.once[1].tried_at
    assert tried == emails.clock.now()
    emails.clock.advance(1000)
    emails.sync()
    assert emails.state.once[1].tried_at == tried
    emails.clock.advance(1000)
    emails.sync()
    assert emails.state.once[1].tried_at == tried
    assert standing(emails) == {"5": "waiting"}
    emails.clock.advance(1400)
    emails.sync()
    assert standing(emails) == {"5": "parked"}


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Answer(status=202, body={"status": "scheduled"}), "done", "scheduled"),
        (Answer(status=200, body={"status": "duplicate"}), "done", "accepted"),
        (
            Answer(status=200, body={"status": "skipped", "reason": "conditions_not_met"}),
            "skipped",
            "skipped",
        ),
        (Answer(status=422, body={"message": "unsubscribed"}), "rejected", "rejected_422"),
        (Answer(status=400, body={"message": "no trigger"}), "rejected", "rejected_400"),
    ],
)
def test_what_meisa_says_of_a_mail_is_recorded(emails: World, answer, status, code):
    """Sent later, not sent, refused: none of it is tried again."""
    bill(emails, 5)
    emails.meisa.answers.append(answer)
    emails.sync()
    emails.sync()
    assert standing(emails) == {"5": status}
    assert emails.state.once[1].code == code
    assert len(emails.meisa.requests) == 1


def test_refused_mails_do_not_halt_the_contacts(emails: World):
    """Twenty recipients that unsubscribed say nothing about the contacts."""
    bill(emails, *range(1, 21))
    emails.meisa.answers += [422] * 20
    emails.sync()
    assert set(standing(emails).values()) == {"rejected"}
    assert not emails.push().breaker.halted


def test_a_wrong_address_of_mails_is_no_rejection(emails: World):
    """Meisa documents no 404 for e-mails; so it is the base URL that is wrong."""
    bill(emails, 5)
    emails.meisa.answers.append(404)
    emails.sync()
    assert standing(emails) == {"5": "waiting"}
    assert emails.push().breaker.halted == "http_404"


# ------------------------------------------------------------------ enrolments


def test_enrolments_share_requests(sequences: World):
    """500 addresses of one sequence go together, each once."""
    sequences.guard = GuardSettings(max_new_rows=5000)
    people = [("trial", f"{n}@x.com") for n in range(501)]
    sequences.rows(SEQUENCES).extend([*people, ("vip", "0@x.com"), ("trial", "0@X.com")])
    plan = sequences.plan()
    assert plan.occurrences[0].new == 502
    assert plan.summary.requests == 3
    sequences.sync()
    bodies = sequences.bodies()
    assert sorted((body["sequence_slug"], len(body["emails"])) for body in bodies) == [
        ("trial", 1),
        ("trial", 500),
        ("vip", 1),
    ]
    assert set(standing(sequences).values()) == {"done"}
    assert sequences.sync().requests == 0


def test_an_enrolment_without_an_answer_is_tried_within_the_hour(sequences: World):
    """Whoever is enrolled is skipped over there; later it might begin anew."""
    sequences.rows(SEQUENCES).append(("trial", "a@x.com"))
    sequences.meisa.answers.append("timeout_applied")
    sequences.sync()
    assert standing(sequences) == {"trial a@x.com": "waiting"}
    sequences.clock.advance(900)
    sequences.sync()
    assert standing(sequences) == {"trial a@x.com": "done"}
    assert sequences.state.once[1].message == "0 enrolled, 1 skipped"
    sequences.rows(SEQUENCES).append(("trial", "b@x.com"))
    sequences.meisa.answers.append("timeout_lost")
    sequences.sync()
    sequences.clock.advance(3300)
    sequences.rows(SEQUENCES).append(("trial", "c@x.com"))
    sequences.sync()
    assert standing(sequences)["trial b@x.com"] == "parked"
    assert standing(sequences)["trial c@x.com"] == "done"


def test_an_unknown_sequence_rejects_its_enrolments(sequences: World):
    """All of one request, with what Meisa said."""
    sequences.rows(SEQUENCES).extend([("gone", "a@x.com"), ("gone", "b@x.com")])
    sequences.meisa.answers.append(404)
    sequences.sync()
    assert set(standing(sequences).values()) == {"rejected"}


# ------------------------------------------------------------------ rows


def test_rows_that_cannot_be_used_are_named(events: World):
    """A bad row never blocks a good one, and is never sent in part."""
    events.rows(EVENTS).extend(
        [
            (None, "exported", 1, "x"),
            (1, None, 1, "x"),
            (2, "exported", None, "x"),
            (3, "exported", 1, float("nan")),
            (4, "exported", 1, "first"),
            (4, "exported", 1, "second"),
            (5, "exported", 1, "good"),
        ]
    )
    with events.look() as look:
        invalid = [(each.external_id, each.code) for each in look.invalid()]
        plan = look.plan
    assert invalid == [
        (None, "key_null"),
        ("1", "event_name_missing"),
        ("2", "contact_missing"),
        ("3", "not_a_number"),
        ("4", "key_duplicate"),
    ]
    assert plan.invalid_rows == 5
    ran = events.sync()
    assert tracked(events) == ["good"]
    assert ran.invalid == 5


def test_a_mapping_that_fails_leaves_the_others_alone(events: World):
    """Nothing of it is kept, and it is read again."""
    happen(events, 7, 8, 9, 10)
    events.source.failing.add(EVENTS)
    ran = events.sync()
    assert standing(events) == {}
    assert EVENTS in ran.failures[0]
    events.source.failing.clear()
    events.sync()
    assert len(events.meisa.deeds.events) == 4


def test_a_column_that_is_missing_fails_the_mapping(events: World):
    """It is said which one."""
    events.table(EVENTS, "event_id external_id", [(1, 1)])
    assert "no column is called event_name" in events.plan().failures[EVENTS]


# ------------------------------------------------------------------ the guard


def test_an_edited_file_waits_for_approval(events: World):
    """New rows of an edited file may be all of them; the plan's digest lets them go."""
    events.edit(EVENTS)
    happen(events, 7)
    plan = events.plan()
    (hold,) = plan.holds
    assert (hold.mapping, hold.reason, hold.contacts) == (EVENTS, "edited", 1)
    ran = events.sync()
    assert [each.reason for each in ran.held] == ["edited"]
    assert events.meisa.deeds.events == []
    events.sync(approve=plan.digest)
    assert len(events.meisa.deeds.events) == 1
    happen(events, 8)
    assert events.plan().holds == ()


def test_an_edit_without_new_rows_holds_nothing(events: World):
    """The file is simply the new one."""
    events.edit(EVENTS)
    assert events.sync().held == ()
    happen(events, 7)
    assert events.plan().holds == ()


def test_many_new_rows_wait_for_approval(events: World):
    """More than the guard allows in one pass."""
    happen(events, *range(101))
    (hold,) = events.plan().holds
    assert hold.reason == "max_new_rows"
    assert events.plan().summary.requests == 101
    events.rows(EVENTS).pop()
    assert events.plan().holds == ()


def test_after_a_day_new_rows_wait_for_approval(events: World):
    """What happened while nobody looked may be stale."""
    happen(events, 7)
    events.clock.advance(DAY)
    assert events.plan().holds == ()
    events.clock.advance(1)
    (hold,) = events.plan().holds
    assert hold.reason == "late"


def test_another_digest_approves_nothing(events: World):
    """Rows that came since are not part of what was shown."""
    events.edit(EVENTS)
    happen(events, 7)
    digest = events.plan().digest
    happen(events, 8)
    with pytest.raises(ApprovalMismatch):
        events.sync(approve=digest)
    assert standing(events) == {}


def test_a_recorded_hold_that_was_approved_releases_what_it_named(events: World):
    """Rows that came since are judged anew by the next pass."""
    events.edit(EVENTS)
    happen(events, 7)
    events.admit()
    (hold,) = events.state.holds()
    happen(events, 8)
    events.state.approve(hold.digest, events.clock.now())
    events.admit()
    assert standing(events) == {"7": "waiting"}
    events.admit()
    assert standing(events) == {"7": "waiting", "8": "waiting"}
    assert events.state.holds() == []


def test_a_baseline_takes_what_is_held_as_done(events: World):
    """Nothing of it is ever sent, nor what waited already."""
    happen(events, 7)
    events.admit()
    events.edit(EVENTS)
    happen(events, 8, 9)
    done = baseline(events.passes(), [EVENTS])
    assert done.occurrences == 3
    events.sync()
    assert set(standing(events).values()) == {"baseline"}
    assert events.meisa.deeds.events == []


def test_a_held_first_load_lets_the_rest_be_judged(world: World):
    """Contacts that wait hold their events back; the events' baseline is taken all the same."""
    world.guard = GuardSettings(min_contacts=2)
    world.table(EVENTS, "event_id event_name external_id", [(1, "exported", 1)])
    ran = world.sync()
    assert [hold.reason for hold in ran.held] == ["first_load"]
    assert standing(world) == {"1": "baseline"}


# ------------------------------------------------------------------ turns


def test_mails_go_before_contacts_that_can_wait(emails: World):
    """What is urgent overtakes, and nothing starves: normal events get their turn."""
    emails.table(EVENTS, "event_id event_name external_id feature", [])
    emails.sync()
    emails.bodies()
    emails.edit(EMAILS, digest="first edition", priority=0)
    happen(emails, 1)
    bill(emails, *range(1, 13))
    emails.plans({1: "pro", 2: "free"})
    emails.sync()
    order = [
        "mail" if "to_email" in body else body.get("event_name", "contact")
        for body in emails.bodies()
    ]
    assert order.count("mail") == 12
    assert order.index("contact") < 10
    assert order.index("contact") < order.index("exported")


def test_a_server_in_trouble_is_tried_with_what_may_be_repeated(events: World):
    """Contacts find out whether Meisa works again, so that events need not be parked."""
    events.plans({1: "pro", 2: "free"})
    happen(events, 7, contact=3)
    with events.look() as look:
        events.passes().admit(look, replace_holds=False)
    events.state.once[1] = replace(events.state.once[1], since=0.0)
    events.meisa.answers += [503]
    events.sync(due=[])
    assert standing(events) == {"7": "parked"}
    happen(events, 8, contact=3)
    events.admit()
    events.state.once[2] = replace(events.state.once[2], since=0.0)
    events.sync(due=[])
    assert [("event_name" in s.body) for s in events.meisa.requests] == [True, False, False, True]


def test_requests_of_a_run_are_limited_all_together(events: World):
    """--max-requests counts events too."""
    happen(events, 1, 2, 3)
    assert events.sync(limits=Limits(requests=2)).requests == 2
    assert sorted(standing(events).values()) == ["done", "done", "waiting"]


# ------------------------------------------------------------------ many lanes


@pytest.mark.parametrize(("concurrency", "together"), [(4, 1), (5, 1), (5, 5), (16, 4)])
def test_contacts_ahead_of_the_lanes_starve_nobody(emails: World, concurrency: int, together: int):
    """An urgent e-mail waits for what is ahead of it, not for the whole backlog."""
    emails.guard = GuardSettings(min_contacts=10_000)
    emails.people(*range(1, 300))
    emails.windows, emails.concurrency = windows("100000/1s"), concurrency
    emails.lanes = lanes = Lanes(concurrency)
    emails.admit()
    push = emails.push()
    push.step()
    bill(emails, 1, 2, 3)
    emails.admit()
    while set(standing(emails).values()) != {"done"}:
        emails.clock.advance(0.6)
        push.step()
        lanes.answer(min(together, len(lanes.waiting)))
    assert lanes.answered <= 3 * (2 * concurrency + 10 + together)


def test_what_is_done_once_never_waits_for_a_lane(emails: World):
    """Whoever is killed leaves none to decide about that never left."""
    bill(emails, *range(1, 31))
    emails.windows, emails.concurrency, emails.lanes = windows("1000/1s"), 5, Lanes(5)
    emails.admit()
    push = emails.push()
    push.step()
    push.step()
    assert push.under_way == 5
    assert list(standing(emails).values()).count("sent") == 5
