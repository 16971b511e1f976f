"""Faults: which requests they strike, whether those take effect, what is answered."""

import orjson
import pytest

from meisa_cdc.sandbox import Fault, OptionError
from meisa_cdc.sandbox.faults import FaultPlan, read_fault

ANNA = {"email": "anna@example.com", "external_id": "7"}


def _send(desk, **fields):
    return desk.send("POST", "/contacts/upsert/", orjson.dumps(ANNA | fields))


@pytest.mark.parametrize("apply", [True, False])
@pytest.mark.parametrize("kind", ["answer", "reset", "hang", "huge", "gzip_bomb"])
def test_apply_decides_whether_the_request_takes_effect(desk, kind, apply):
    """The contact is there or not; the answer is the same."""
    desk.account.script(Fault(kind=kind, apply=apply))
    outcome = _send(desk)
    assert outcome.fault.kind == kind
    assert (desk.account.contact(external_id="7") is not None) == apply


@pytest.mark.parametrize("kind", ["alter", "wrong_contact", "truncate", "cut", "drip", "hang_up"])
def test_a_spoilt_true_answer_means_the_request_took_effect(desk, kind):
    """There is no true answer without it."""
    desk.account.script(Fault(kind=kind))
    assert _send(desk).reply.status == 200
    assert desk.account.contact(external_id="7") is not None


@pytest.mark.parametrize("kind", ["reset", "hang", "late"])
def test_a_silent_fault_sends_no_reply(desk, kind):
    """The log has the request without a status, and the fault's kind."""
    desk.account.script(Fault(kind=kind, apply=True))
    assert _send(desk).reply is None
    record = desk.account.requests()[0]
    assert (record.status, record.fault) == (None, kind)
    assert desk.account.overview().statuses == {"unanswered": 1}


def test_an_answer_is_given_as_told(desk):
    """Status, body and headers come from the fault."""
    desk.account.script(
        Fault(kind="answer", status=503, body="<h1>", headers={"Retry-After": "5"}),
        Fault(kind="answer"),
    )
    reply = _send(desk).reply
    assert (reply.status, reply.body) == (503, b"<h1>")
    assert reply.headers == {"content-type": "application/json", "retry-after": "5"}
    assert _send(desk).reply.status == 500


def test_an_altered_answer_is_the_true_one_with_changes(desk):
    """Status and fields given are laid over it; the account itself has the true values."""
    desk.account.script(Fault(kind="alter", status=201, changes={"email": "x@example.com"}))
    reply = _send(desk, first_name="Anna").reply
    assert reply.status == 201
    assert reply.document()["email"] == "x@example.com"
    assert reply.document()["first_name"] == "Anna"
    assert desk.account.contact(external_id="7")["email"] == "anna@example.com"


def test_a_wrong_contact_is_somebody_else(desk):
    """Id, external_id and e-mail are another's."""
    desk.account.script(Fault(kind="wrong_contact"))
    document = _send(desk).reply.document()
    true = desk.account.contact(external_id="7")
    assert all(document[name] != true[name] for name in ("id", "external_id", "email"))


def test_a_truncated_answer_is_no_json(desk):
    """Half of the true body is left."""
    desk.account.script(Fault(kind="truncate"))
    reply = _send(desk).reply
    assert reply.status == 200
    assert reply.body.startswith(b'{"id":')
    assert reply.document() is None


def test_a_late_request_takes_effect_when_let(desk):
    """Until then the account has the newer value; afterwards the older one is back."""
    desk.account.script(Fault(kind="late", apply=True))
    _send(desk, custom_fields={"plan": "old"})
    assert desk.account.contacts() == []
    _send(desk, custom_fields={"plan": "new"})
    assert desk.account.contact(external_id="7")["custom_fields"] == {"plan": "new"}
    assert desk.account.apply_late() == 1
    assert desk.account.contact(external_id="7")["custom_fields"] == {"plan": "old"}
    assert desk.account.apply_late() == 0


def test_a_late_request_may_still_be_refused(desk):
    """What is in error when it arrives has no effect, and stops nothing."""
    desk.account.script(Fault(kind="late", times=2))
    _send(desk, status="active")
    _send(desk)
    assert desk.account.apply_late() == 2
    assert desk.fired() == ["contact_created"]


def test_faults_strike_in_order_and_as_often_as_told(desk):
    """Each is used up, then requests are well again."""
    desk.account.script(Fault(kind="answer", status=502, times=2), Fault(kind="answer", status=503))
    assert [_send(desk).reply.status for _ in range(4)] == [502, 502, 503, 200]


def test_a_fault_waits_for_the_request_it_is_meant_for(desk):
    """Another contact and another path pass it by, and the next in the script may strike them."""
    desk.account.script(
        Fault(kind="answer", status=503, external_id="8", path="/contacts/upsert/"),
        Fault(kind="answer", status=418, path="/ping/"),
    )
    assert _send(desk).reply.status == 200
    assert desk.ping()[0] == 418
    assert _send(desk, external_id="8", email="8@example.com").reply.status == 503
    assert desk.account.scripted() == ()


def test_only_requests_that_pass_the_gate_are_struck(desk):
    """A wrong key or path uses up no fault."""
    desk.account.script(Fault(kind="answer"))
    desk.ping(key="wrong")
    desk.answer("GET", "/nowhere/")
    assert len(desk.account.scripted()) == 1


def test_a_fault_on_a_refused_request_spoils_the_refusal(desk):
    """The answer is the 400, cut."""
    desk.account.script(Fault(kind="truncate"))
    reply = _send(desk, status="x").reply
    assert (reply.status, reply.document()) == (400, None)


def test_a_cleared_script_is_empty(desk):
    """Faults that did not strike yet never will."""
    desk.account.script(Fault(kind="reset"))
    desk.account.clear_script()
    assert _send(desk).reply.status == 200


def _failures(desk, requests=1000):
    return [desk.ping()[0] == 500 for _ in range(requests)]


def test_the_share_that_fails_is_the_one_asked_for(desk_with):
    """About a tenth fails, the same requests each time, others with another seed."""
    first, again, other = (_failures(desk_with(fail=0.1, seed=seed)) for seed in (1, 1, 2))
    assert 70 <= sum(first) <= 130
    assert first == again
    assert first != other


def test_a_failed_request_may_have_taken_effect(desk_with):
    """Of many answered 500, some created their contact and some did not."""
    desk = desk_with(fail=1.0)
    for number in range(50):
        assert desk.upsert(email=f"{number}@example.com")[0] == 500
    assert 10 <= len(desk.account.contacts()) <= 40


def test_failures_can_be_switched_at_run_time(desk):
    """What is not given stays as it is, and nonsense changes nothing."""
    desk.account.configure(fail=1.0)
    desk.account.configure(latency=0.25)
    outcome = desk.send("GET", "/ping/")
    assert (outcome.reply.status, outcome.latency) == (500, 0.25)
    with pytest.raises(OptionError):
        desk.account.configure(fail=0.0, latency=-1.0)
    assert desk.ping()[0] == 500


def test_a_plan_refuses_a_share_that_is_none():
    """More than all requests cannot fail."""
    with pytest.raises(OptionError, match="fail"):
        FaultPlan(fail=2, latency=0, seed=0)


def test_a_fault_is_read_from_json():
    """Every field by its name; what is left out has its default."""
    assert read_fault(
        {
            "kind": "alter",
            "status": None,
            "seconds": 2,
            "changes": {"id": "x"},
            "headers": {"a": "b"},
            "external_id": "7",
        }
    ) == Fault(kind="alter", seconds=2, changes={"id": "x"}, headers={"a": "b"}, external_id="7")


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "kind"),
        ({}, "kind"),
        ({"kind": "explode"}, "explode"),
        ({"kind": 1}, "kind"),
        ({"kind": "reset", "when": 1}, "when"),
        ({"kind": "reset", "apply": 1}, "apply"),
        ({"kind": "reset", "times": 0}, "times"),
        ({"kind": "reset", "times": True}, "times"),
        ({"kind": "hang", "seconds": -1}, "seconds"),
        ({"kind": "huge", "size": 0}, "size"),
        ({"kind": "answer", "status": 99}, "99"),
        ({"kind": "answer", "status": "503"}, "status"),
        ({"kind": "answer", "body": {}}, "body"),
        ({"kind": "answer", "headers": {"a": 1}}, "headers"),
        ({"kind": "alter", "changes": []}, "changes"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused_by_name(document, named):
    """The error says what is wrong with it."""
    with pytest.raises(OptionError, match=named):
        read_fault(document)
