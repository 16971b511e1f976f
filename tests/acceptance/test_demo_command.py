"""`meisa-cdc demo`: the tour that `make demo` takes."""

from tests.acceptance.installed import Desk

STEPS = [
    "── A dry run",
    "$ meisa-cdc plan",
    "HELD contacts/identity (first_load)",
    "── A first load would greet everybody",
    "$ meisa-cdc sync --approve ",
    "── Again: nothing changed",
    "Delivered 0 of 0 with",
    "── A morning passes in the app",
    "── The plan shows exactly that",
    "$ meisa-cdc sync",
    "Delivered 7 of 7 with",
    "── 40 people sign in",
    "40 riding along",
    "Nothing has to be sent.",
    "── Some people unsubscribe",
    "12 addresses, 12 new",
    "suppressed: 12",
    " 0 of them with 429.",
]


def test_the_tour_walks_through_the_whole_job(desk: Desk) -> None:
    """Every step in its order, nothing over the limits, and no trace left behind."""
    desk.settings.clear()
    toured = desk.run("demo")
    assert toured.err == ""
    place = 0
    for step in STEPS:
        place = toured.out.find(step, place)
        assert place >= 0, f"{step!r} is missing or out of order in:\n{toured.out}"
    assert str(desk.scratch) in toured.out.partition("\n")[0]
    assert list(desk.scratch.iterdir()) == []
