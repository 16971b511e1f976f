"""Which table holds the contacts, and what of a row says who someone is."""

from collections.abc import Sequence

from meisa_cdc.cli.proposals.tables import Column, Table
from meisa_cdc.cli.proposals.writing import Draft, Writer, selected

EMAILS = (
    "email",
    "email_address",
    "e_mail",
    "user_email",
    "primary_email",
    "contact_email",
    "mail",
)
#: What a table of contacts is called, the likeliest first.
PEOPLE = ("user", "customer", "account", "member", "contact", "subscriber", "client", "person")
#: Tables of people who are not the app's customers.
STAFF = frozenset({"admin", "agent", "employee", "operator", "staff", "supplier", "vendor"})

DATES: tuple[str, ...] = ("date", "datetime")
TEXT: tuple[str, ...] = ("text",)
#: Field -> (names of its column, the likeliest first; what it may hold).
KNOWN: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "first_name": (("first_name", "firstname", "given_name", "forename"), TEXT),
    "last_name": (("last_name", "lastname", "surname", "family_name"), TEXT),
    "display_name": (("display_name", "full_name", "fullname", "name"), TEXT),
    "signup_date": (
        (
            "signup_date",
            "signed_up_at",
            "registered_at",
            "registration_date",
            "date_joined",
            "joined_at",
            "created_at",
            "created_on",
            "inserted_at",
            "creation_date",
            "date_created",
            "created",
        ),
        DATES,
    ),
    "country": (("country", "country_code", "country_name"), TEXT),
    "company": (("company", "company_name", "organization", "organisation"), TEXT),
    "job_title": (("job_title",), TEXT),
    "language": (("language", "preferred_language", "locale", "lang"), TEXT),
    "timezone": (("timezone", "time_zone", "tz"), TEXT),
    "referral_source": (("referral_source", "utm_source"), TEXT),
    "onboarding_completed": (("onboarding_completed",), ("boolean", "integer")),
}
#: Types that not every engine has, declared so that all send the same values.
DECLARED = {"signup_date": "{'type': 'date'}", "onboarding_completed": "{'type': 'boolean'}"}


def email_of(table: Table) -> Column | None:
    """Return the column that holds the address."""
    return table.find(EMAILS, ("text", "other"))


def people(tables: Sequence[Table]) -> list[Table]:
    """Return the tables whose rows may be contacts, the likeliest first."""
    likely = [
        (score, table.name, table)
        for table in tables
        if email_of(table) is not None and len(table.primary_key) == 1
        if (score := _likeness(table, tables)) > 0
    ]
    return [table for _, _, table in sorted(likely, key=lambda each: (-each[0], each[1]))]


def _likeness(table: Table, tables: Sequence[Table]) -> int:
    words = table.noun.split("_")
    if STAFF & set(words):
        return 0
    score = 1
    if words[-1] in PEOPLE:
        score += 20 * (len(PEOPLE) - PEOPLE.index(words[-1]))
        score += 10 if len(words) == 1 else 0
    score += sum(2 for field in ("first_name", "last_name") if _known(table, field))
    return score + min(9, sum(1 for other in tables if other.link_to(table)))


def _known(table: Table, field: str) -> Column | None:
    names, families = KNOWN[field]
    return table.find(names, families)


def identity(table: Table, writer: Writer) -> Draft:
    """Return the mapping that decides which contacts exist."""
    key = table.primary_key[0]
    expressions = {"external_id": writer.column("u", key)}
    known = {field: _known(table, field) for field in KNOWN}
    for field, column in {"email": email_of(table), **known}.items():
        if column is not None:
            expressions[field] = writer.column("u", column.name)
    if "first_name" in expressions or "last_name" in expressions:
        expressions.pop("display_name", None)
    conditions = [f"{expressions['email']} is not null", writer.only("u", key)]
    deleted = table.find(("deleted_at",), DATES)
    if deleted is not None:
        conditions.insert(0, f"{writer.column('u', deleted.name)} is null")
    text = writer.mapping(
        f"Who someone is. This mapping decides which rows of {table.name} are contacts in Meisa: "
        "those it returns. Remove what no automation needs.",
        {},
        {field: declared for field, declared in DECLARED.items() if field in expressions},
        "select",
        *selected(expressions),
        f"from {writer.table(table, 'u')}",
        f"where {' and '.join(conditions)}",
    )
    return Draft(name="identity", text=text, fields=[*expressions][1:])
