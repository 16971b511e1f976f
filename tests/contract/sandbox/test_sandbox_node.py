"""Requests as the API documents show them for JavaScript, sent by Node's fetch."""


def test_a_user_signs_up_upgrades_and_leaves(node, tags, meisa):
    """Each state is one upsert, and each sets off its automation."""
    answers = node("integration.mjs")
    assert [answer["status"] for answer in answers] == [200, 200, 200]
    assert len({answer["document"]["id"] for answer in answers}) == 1
    assert "mrr" not in answers[0]["document"]["custom_fields"]
    assert answers[-1]["document"]["custom_fields"]["mrr"] == 99
    assert [run.automation for run in meisa.account.automation_runs()] == [
        "signup",
        "upgrade",
        "churn",
    ]
    assert tags("lee@example.com") == ["churned"]
    enrolled = [each["sequence_slug"] for each in meisa.account.enrollments("lee@example.com")]
    assert enrolled == ["onboarding", "welcome-pro", "win-back"]


def test_the_email_alone_finds_the_contact(node):
    """What is not sent stays; an id that is a number is told apart from a text."""
    created, updated, refused = node("by_email.mjs")
    assert updated["document"]["id"] == created["document"]["id"]
    assert updated["document"]["external_id"] == "usr_1"
    assert updated["document"]["first_name"] == "Kim"
    assert (refused["status"], refused["document"]["field"]) == (400, "external_id")
