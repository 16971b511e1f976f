"""Made-up people from many countries, the same ones for the same chance."""

import json
import random
import unicodedata
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypedDict

JOB_TITLES = (
    "Founder",
    "Content Lead",
    "Head of Marketing",
    "Product Manager",
    "Social Media Manager",
    "Software Engineer",
    "Consultant",
    "Recruiter",
    "Sales Lead",
    "Student",
)
REFERRAL_SOURCES = ("google", "linkedin", "friend", "podcast", "newsletter", "product_hunt")


class Country(TypedDict):
    """How people of one country are called; a name reads `name` or `name/in Latin letters`."""

    language: str
    zone: str
    share: int
    first: list[str]
    last: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Someone who signed up, as they described themselves."""

    #: As typed; unique among the people of one census in any case.
    email: str
    first_name: str
    #: None: the form did not insist.
    last_name: str | None
    #: ISO 3166 code.
    country: str
    #: ISO 639 code.
    language: str
    job_title: str | None
    referral_source: str | None


class Census:
    """Hands out people, no two with one address."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._taken: dict[str, int] = {}

    def person(self) -> Person:
        """Return someone new."""
        chance = self._chance
        countries = _countries()
        code = chance.choices(
            tuple(countries), weights=[each["share"] for each in countries.values()]
        )[0]
        country = countries[code]
        first, last = chance.choice(country["first"]), chance.choice(country["last"])
        return Person(
            email=self._address(_latin(first), _latin(last), country["zone"]),
            first_name=first.partition("/")[0],
            last_name=last.partition("/")[0] if happens(chance, 96) else None,
            country=code,
            language=country["language"],
            job_title=chance.choice(JOB_TITLES) if happens(chance, 85) else None,
            referral_source=chance.choice(REFERRAL_SOURCES) if happens(chance, 75) else None,
        )

    def _address(self, first: str, last: str, zone: str) -> str:
        style = self._chance.choice(("{0}.{1}", "{0}.{1}", "{0}{1}", "{2}.{1}", "{0}_{1}"))
        local = style.format(first, last, first[0])
        number = self._taken[local] = self._taken.get(local, 0) + 1
        typed = f"{local}.{number}" if number > 1 else local
        # Some people type their address the way they write their name.
        return f"{typed.title() if happens(self._chance, 4) else typed}@{zone}"


def happens(chance: random.Random, percent: int) -> bool:
    """Tell whether something happens that happens that often."""
    return chance.random() * 100 < percent


@cache
def _countries() -> dict[str, Country]:
    path = Path(__file__).with_name("people.json")
    countries: dict[str, Country] = json.loads(path.read_text(encoding="utf-8"))
    return countries


def _latin(name: str) -> str:
    plain, _, latin = name.partition("/")
    letters = unicodedata.normalize("NFKD", latin or plain).encode("ascii", "ignore").decode()
    return letters.lower().replace(" ", "")
