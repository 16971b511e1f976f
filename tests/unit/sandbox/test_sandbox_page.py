"""The page, rendered without a server."""

import re

from meisa_cdc.sandbox import parse_limits
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
