"""The page, rendered without a server."""

import re

from orjson import dumps

from meisa_cdc.sandbox import EmailTrigger, parse_limits, read_configured
from meisa_cdc.sandbox.automations.rules import AddTag, Automation, When
from meisa_cdc.sandbox.page import render

EVIL = "<script>alert('x')</script>"


def test_an_empty_account_has_a_page(desk):
    """It says that there is nothing yet, and that there is no limit."""
    page = render(desk.account.overview())
    assert page.count("None yet.") == 2
    assert ">none<" in page


def test_contacts_and_triggers_are_shown(desk_with):
    """Fields, tags, changes old to new, statuses and limits are all on it."""
    desk = desk_with(limits=parse_limits("60/60s"))
    desk.upsert(email="a@example.com", external_id="7", tag_names=["pro plan"])
    desk.upsert(email="a@example.com", custom_fields={"plan": "pro"})
    desk.ping(key="wrong")
    page = render(desk.account.overview())
    for text in ("a@example.com", "pro plan", "null → &#34;pro&#34;", "Answered 401", "60/60s"):
        assert text in page
    assert "2026-01-12 12:00:00" in page


def test_everything_is_escaped(desk):
    """Markup in any value is shown, not run."""
    desk.upsert(email="a@example.com", external_id=EVIL, first_name=EVIL, tag_names=[EVIL])
    desk.upsert(email="<b>@example.com", external_id=EVIL, custom_fields={EVIL: [EVIL]})
    page = render(desk.account.overview())
    assert "<script" not in page
    assert "<b>@" not in page
    assert page.count("&lt;script&gt;") >= 8


def test_what_automations_did_is_shown(desk_with):
    """Runs with each action and its result, who fired a trigger, enrolments, e-mails."""
    text = """
    [[automations]]
    name = "welcome them"
    trigger = "contact_created"
    actions = [{ add_tag = "new here" }, { enroll = "win-back" }, { notify = "Somebody" }]

    [[automations]]
    name = "turn"
    trigger = "tag_added"
    actions = [{ remove_tag = "new here" }, { add_tag = "new here" }]
    """
    desk = desk_with(automations=read_configured(text).automations)
    assert "None of the 2 so far." in render(desk.account.overview())
    desk.upsert(email="a@example.com")
    desk.answer("POST", "/events/track/", dumps({"email": "a@example.com", "event_name": "e v"}))
    asked = {"trigger_key": "verification_code", "to_email": "b@example.com"}
    body = dumps({**asked, "variables": {"code": "777"}})
    desk.answer("POST", "/emails/trigger/", body)
    page = render(desk.account.overview())
    for text in (
        "<code>add_tag</code> new here: added",
        "<code>enroll</code> win-back: enrolled",
        "<code>notify</code> Somebody: recorded",
        "by welcome them → turn",
        "stopped: it led to this itself",
        '<span class="tag">e v</span>',
        '<span class="tag">win-back</span> active, 1 sent',
        "Your code is 777",
        "<td>sent</td>",
    ):
        assert text in page


def test_too_many_runs_are_told(desk_with):
    """Where the limit was met the row says so."""
    automations = tuple(
        Automation(
            name=f"n{number}",
            when=When(kind="tag_added"),
            actions=tuple(AddTag(tag=f"{number}-{each}") for each in range(15)),
        )
        for number in range(9)
    )
    desk = desk_with(automations=automations)
    desk.upsert(email="a@example.com", tag_names=["x"])
    page = render(desk.account.overview(triggers=100_000))
    assert "stopped: too many runs in one request" in page


def test_the_state_file_is_named(desk_with, tmp_path):
    """Without one the page says that nothing is kept."""
    path = tmp_path / "s & t.db"
    kept = desk_with(state=path).account
    assert f"kept in <code>{tmp_path}/s &amp; t.db</code>" in render(kept.overview())
    kept.close()
    assert "nothing is kept when it stops" in render(desk_with().account.overview())


def test_markup_in_names_people_chose_is_escaped(desk_with):
    """Automations, tags, events, e-mails: shown, not run."""
    automation = Automation(
        name=EVIL, when=When(kind="contact_created"), actions=(AddTag(tag=EVIL),)
    )
    mail = EmailTrigger(key=EVIL, subject="{{a}}", text=EVIL)
    desk = desk_with(automations=(automation,), email_triggers=(mail,))
    desk.upsert(email="a@example.com")
    event = {"email": "a@example.com", "event_name": EVIL, "properties": {EVIL: EVIL}}
    desk.answer("POST", "/events/track/", dumps(event))
    asked = {"trigger_key": EVIL, "to_email": "a@example.com", "variables": {"a": EVIL}}
    desk.answer("POST", "/emails/trigger/", dumps(asked))
    page = render(desk.account.overview())
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 10


def test_only_the_latest_are_shown(desk):
    """Of many contacts the last hundred, with the whole number beside them."""
    for number in range(120):
        desk.upsert(email=f"{number}@example.com", external_id=f"id-{number}")
    page = render(desk.account.overview())
    rows = re.findall(r"<td>id-(\d+)</td>", page)
    assert rows == [str(number) for number in range(119, 19, -1)]
    assert "<dd>120</dd>" in page


def test_the_page_needs_no_other_file(desk):
    """No script, no link, no address of anywhere else."""
    page = render(desk.account.overview())
    assert not re.search(r"<(script|link|img)|https?:|url\(|@import", page)
