"""`meisa-cdc demo`: the tour that `make demo` takes."""

from tests.acceptance.installed import Desk

STEPS = [
    "── A dry run",
    "$ meisa-cdc plan",
    "taken as done, since it is the first run",
    "HELD contacts/identity (first_load)",
    "── A first load would greet everybody",
    "$ meisa-cdc sync --approve ",
    "1996 contacts, 0 of them in a sequence",
    "── Again: nothing changed",
    "Delivered 0 of 0 with",
    "── A morning passes in the app",
    "── The plan shows exactly that",
    '"free" → "pro"',
    "── It is sent, and automations",
    "$ meisa-cdc sync",
    "Delivered 6 of 6 with",
    "── 40 people sign in",
    "40 riding along",
    "Nothing has to be sent.",
    "── In the afternoon somebody loses a tag",
    "── The plan has the tag to remove",
    '["annual-billing"] → []',
    "Cost: 6 requests",
    "── Each of these is done once",
    "Delivered 3 of 3 with 6 requests in all",
    "Events, e-mails and enrolments: 3 done.",
    "── Some people unsubscribe",
    "12 addresses, 12 new",
    "suppressed: 12",
    " 0 of them with 429.",
]
#: What is done once, as the plan has it.
PLANNED = ["* events/features ", "* emails/payment_failure ", "* sequences/beta "]
#: On Meisa's side after the morning, in whichever order the requests went.
REACTIONS = [
    "⤷ upgrade: tag paying-customer added, tag free-plan removed, enrolled in welcome-pro",
    "Renée Okafor: is a contact\n    ⤷ free plan: tag free-plan added\n    ⤷ signup: enrolled in",
    "⤷ churn: tag churned added, enrolled in win-back",
]
#: After the afternoon.
AFTERWARDS = [
    ": tag annual-billing removed",
    ": event feature_activated tracked\n    ⤷ feature activated: enrolled in power-user-tips",
    ": enrolled in beta-program",
    ": e-mail payment_failure sent, “Your payment of 19 failed”",
    "⤷ onboarding completed: taken out of onboarding, tag activated added",
]


def test_the_tour_walks_through_the_whole_job(desk: Desk) -> None:
    """Every step in its order, nothing over the limits, and no trace left behind."""
    desk.settings.clear()
    toured = desk.run("demo")
    assert toured.err == ""
    place = 0
    screens = {
        "── It is sent": REACTIONS,
        "── The plan has the tag": PLANNED,
        "── Each of these is": AFTERWARDS,
    }
    for title, deeds in screens.items():
        screen = toured.out.partition(title)[2].partition("──")[0]
        for deed in deeds:
            assert deed in screen, f"{deed!r} is missing in:\n{screen}"
    for step in STEPS:
        place = toured.out.find(step, place)
        assert place >= 0, f"{step!r} is missing or out of order in:\n{toured.out}"
    assert str(desk.scratch) in toured.out.partition("\n")[0]
    assert list(desk.scratch.iterdir()) == []
