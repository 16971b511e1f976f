"""First mappings proposed from table and column names."""

import pytest

from meisa_cdc.cli.proposals import Column, ForeignKey, Table, propose
from meisa_cdc.cli.proposals.activity import AMOUNTS, WHEN
from meisa_cdc.cli.proposals.identity import EMAILS, KNOWN
from meisa_cdc.cli.proposals.subscription import NAMES, OF_PEOPLE, OF_SUBSCRIPTIONS, STARTS
from meisa_cdc.cli.proposals.tables import is_secret


def table(name, columns, key="id", links=()):
    """Return a table; `columns` are `name:family`, texts where no family stands."""
    parts = [column.partition(":") for column in columns.split()]
    return Table(
        name=name,
        columns=[Column(name=each, family=family or "text") for each, _, family in parts],
        primary_key=key.split(),
        foreign_keys=[
            ForeignKey(column=column, table=target, target=of)
            for column, (target, of) in dict(links).items()
        ],
    )


USERS = table("users", "id:integer email first_name last_name created_at:datetime")


def proposed(*tables, dialect="postgresql", quote=str):
    """Return path -> text of what is proposed."""
    proposal = propose(tables, dialect=dialect, quote=quote)
    assert proposal is not None
    return dict(proposal.files)


def test_identity_comes_from_the_users():
    """The mapping has key, address, name and sign-up date, and is ready to run."""
    text = proposed(USERS)["contacts/identity.sql"]
    assert text.startswith("-- Who someone is.")
    assert text.endswith(
        "{{ config(fields={\n"
        "    'signup_date': {'type': 'date'},\n"
        "}) }}\n"
        "select\n"
        "    u.id as external_id,\n"
        "    u.email,\n"
        "    u.first_name,\n"
        "    u.last_name,\n"
        "    u.created_at as signup_date\n"
        "from users u\n"
        "where u.email is not null and {{ only('u.id') }}\n"
    )


def test_names_are_quoted_as_the_dialect_needs():
    """Every name goes through the dialect's quoting, inside only() too."""
    customer = table("Customer", "CustomerId:integer Email FirstName", key="CustomerId")
    text = proposed(customer, quote=lambda name: f"`{name}`")["contacts/identity.sql"]
    assert "u.`CustomerId` as external_id" in text
    assert "u.`FirstName` as first_name" in text
    assert "from `Customer` u" in text
    assert "{{ only('u.`CustomerId`') }}" in text


@pytest.mark.parametrize(
    ("names", "first"),
    [
        (("users", "customers"), "users"),
        (("contacts", "accounts"), "accounts"),
        (("employee", "Customer"), "Customer"),
        (("newsletter", "auth_user"), "auth_user"),
        (("user_invitations", "members"), "members"),
        (("team_members", "users"), "users"),
    ],
)
def test_the_likeliest_table_is_taken(names, first):
    """Of several tables with an address, the name decides, and the others are told."""
    tables = [table(name, "id:integer email") for name in names]
    proposal = propose(tables, dialect="sqlite", quote=str)
    assert proposal is not None
    assert proposal.people.name == first


def test_the_table_that_others_point_at_is_likelier():
    """Where names say nothing, foreign keys do."""
    crew = table("crew", "id:integer email")
    buyers = table("buyer_list", "id:integer email")
    orders = table("orders", "id:integer buyer:integer", links={"buyer": ("buyer_list", "id")})
    proposal = propose([crew, buyers, orders], dialect="sqlite", quote=str)
    assert proposal is not None
    assert proposal.people.name == "buyer_list"
    assert proposal.others == ["crew"]


@pytest.mark.parametrize(
    "unsuitable",
    [
        table("users", "id:integer name"),
        table("users", "id:integer tenant:integer email", key="id tenant"),
        table("users", "email", key=""),
        table("employees", "id:integer email"),
        table('us"ers', "id:integer email"),
        table("password_resets", "id:integer email"),
        table("users", "id'x:integer email", key="id'x"),
    ],
)
def test_nothing_is_proposed_without_a_table_of_contacts(unsuitable):
    """Without address, single key or a usable name there is no proposal."""
    assert propose([unsuitable], dialect="sqlite", quote=str) is None


SECRETS = [
    "password",
    "PasswordHash",
    "encrypted_email",
    "api_key",
    "apiKey",
    "reset_token",
    "otp_secret",
    "ssn",
    "salt",
    "iban",
    "card_number",
    "cvc",
    "totp",
    "pin",
]


def test_no_secret_is_ever_proposed():
    """Columns and tables that sound like secrets appear nowhere, whatever else they match."""
    users = table("users", f"id:integer email {' '.join(SECRETS)} plan country")
    tokens = table("api_tokens", "id:integer user_id:integer", links={"user_id": ("users", "id")})
    cards = table("cards", "id:integer user_id:integer total:number")
    files = proposed(users, tokens, cards)
    assert set(files) == {"contacts/identity.sql", "contacts/plan.sql"}
    for text in files.values():
        assert not [secret for secret in SECRETS if f".{secret}" in text]


def test_no_column_that_is_looked_for_sounds_like_a_secret():
    """The lists of known names hold none that must not leave the database."""
    known = [EMAILS, AMOUNTS, WHEN, NAMES, STARTS]
    for fields in (KNOWN, OF_PEOPLE, OF_SUBSCRIPTIONS):
        known += [names for names, _ in fields.values()]
    assert not [name for names in known for name in names if is_secret(name)]
    assert all(map(is_secret, SECRETS))


@pytest.mark.parametrize(
    ("name", "noun"),
    [
        ("Orders", "order"),
        ("companies", "company"),
        ("email_addresses", "email_address"),
        ("boxes", "box"),
        ("OrderStatus", "order_status"),
        ("ties", "tie"),
        ("glass", "glass"),
        ("analysis", "analysis"),
        ("HTTPLogs", "http_log"),
    ],
)
def test_a_row_has_a_name(name, noun):
    """What one row is called names its mapping and its fields."""
    assert table(name, "id:integer").noun == noun


def test_only_life_cycle_columns_are_proposed():
    """Address, phone and whatever else a row holds stay where they are."""
    users = table(
        "users",
        "id:integer email name phone street city notes country company locale tz seen_at:datetime",
    )
    (text,) = proposed(users).values()
    for field in (
        "u.name as display_name",
        "u.country",
        "u.locale as language",
        "u.tz as timezone",
    ):
        assert field in text
    for other in ("phone", "street", "city", "notes", "seen_at"):
        assert other not in text


def test_a_display_name_is_left_out_beside_first_and_last_name():
    """One way of naming someone is enough."""
    users = table("users", "id:integer email first_name name")
    assert "display_name" not in proposed(users)["contacts/identity.sql"]


def test_columns_of_an_unfit_type_are_left_out():
    """A sign-up date kept as a number is no date."""
    users = table("users", "id:integer email created_at:integer country:integer plan:integer")
    (text,) = proposed(users).values()
    assert "created_at" not in text
    assert "country" not in text


def test_deleted_users_are_no_contacts():
    """A table with soft deletion yields only who is still there."""
    users = table("users", "id:integer email deleted_at:datetime")
    assert (
        "where u.deleted_at is null and u.email is not null"
        in proposed(users)["contacts/identity.sql"]
    )


def test_plan_and_status_beside_the_address():
    """They become a mapping of their own, which goes out first."""
    users = table("users", "id:integer email plan_name status trial_ends_at:datetime")
    text = proposed(users)["contacts/plan.sql"]
    assert "priority='urgent'" in text
    for column in (
        "u.plan_name as plan",
        "u.status as account_status",
        "u.trial_ends_at",
        "'trial_ends_at': {'type': 'datetime'}",
    ):
        assert column in text


def test_the_newest_subscription_counts():
    """A table of subscriptions gives one row a contact, its plan by name."""
    plans = table("plans", "id:integer name")
    subscriptions = table(
        "subscriptions",
        "id:integer user_id:integer plan_id:integer status started_at:datetime stripe_token",
        links={"user_id": ("users", "id"), "plan_id": ("plans", "id")},
    )
    text = proposed(USERS, plans, subscriptions)["contacts/plan.sql"]
    assert text.endswith(
        "select\n"
        "    latest.contact as external_id,\n"
        "    p.name as plan,\n"
        "    latest.subscription_status\n"
        "from (\n"
        "    select\n"
        "        s.user_id as contact,\n"
        "        s.plan_id as plan_ref,\n"
        "        s.status as subscription_status,\n"
        "        row_number() over (partition by s.user_id "
        "order by s.started_at desc, s.id desc) as place\n"
        "    from subscriptions s\n"
        "    where {{ only('s.user_id') }}\n"
        ") latest\n"
        "left join plans p on p.id = latest.plan_ref\n"
        "where latest.place = 1\n"
    )


def test_a_plan_may_be_a_text_of_the_subscription():
    """Without a table of plans the subscription names its plan itself."""
    subscriptions = table("subscriptions", "id:integer user_id:integer plan interval")
    text = proposed(USERS, table("plans", "id:integer name"), subscriptions)["contacts/plan.sql"]
    assert "    s.plan,\n" in text
    assert "s.interval as billing_cycle" in text
    assert "order by s.id desc" in text
    assert "join" not in text


def test_a_table_of_plans_with_a_key_of_two_columns_is_not_joined():
    """Which plan is meant could not be told."""
    plans = table("plans", "id:integer version:integer name", key="id version")
    subscriptions = table("subscriptions", "id:integer user_id:integer plan_id:integer state")
    text = proposed(USERS, plans, subscriptions)["contacts/plan.sql"]
    assert "join" not in text
    assert "s.state as subscription_status" in text


def test_a_subscription_to_something_else_is_ignored():
    """Newsletters and push subscriptions have neither plan nor status."""
    push = table(
        "push_subscriptions",
        "id:integer user_id:integer endpoint",
        links={"user_id": ("users", "id")},
    )
    assert set(proposed(USERS, push)) == {"contacts/identity.sql"}


def test_rows_that_point_at_a_contact_are_counted():
    """Count, total, first and last date, with 0 where there is no row."""
    orders = table(
        "orders",
        "id:integer user_id:integer total:number created_at:datetime",
        links={"user_id": ("users", "id")},
    )
    text = proposed(USERS, orders)["contacts/order.sql"]
    assert "'order_count': {'type': 'integer', 'missing': 0}" in text
    assert "'order_total': {'type': 'number', 'missing': 0}" in text
    assert text.endswith(
        "select\n"
        "    r.user_id as external_id,\n"
        "    count(*) as order_count,\n"
        "    round(cast(sum(r.total) as numeric), 2) as order_total,\n"
        "    min(r.created_at) as first_order_at,\n"
        "    max(r.created_at) as last_order_at\n"
        "from orders r\n"
        "where r.user_id is not null and {{ only('r.user_id') }}\n"
        "group by r.user_id\n"
    )


def test_totals_are_rounded_where_sums_are_noisy():
    """Sums of binary fractions depend on the order of rows; whole cents do not."""
    links = {"user_id": ("users", "id")}
    orders = table("orders", "id:integer user_id:integer amount:number", links=links)
    cents = table("payments", "id:integer user_id:integer amount_cents:integer", links=links)
    files = proposed(USERS, orders, cents, dialect="sqlite")
    assert "round(sum(r.amount), 2) as order_total" in files["contacts/order.sql"]
    assert "    sum(r.amount_cents) as payment_total_cents" in files["contacts/payment.sql"]


def test_a_column_named_after_the_users_is_a_link():
    """Apps without declared foreign keys get the same proposal."""
    posts = table("posts", "id:integer user_id:integer published_on:date")
    other = table("tags", "id:integer owner:integer")
    files = proposed(USERS, posts, other)
    assert set(files) == {"contacts/identity.sql", "contacts/post.sql"}
    assert "priority='background'" in files["contacts/post.sql"]


def test_a_foreign_key_to_elsewhere_is_no_link():
    """`user_id` that points at another table is left alone."""
    logins = table("visits", "id:integer user_id:integer", links={"user_id": ("staff", "id")})
    assert set(proposed(USERS, logins)) == {"contacts/identity.sql"}


def test_sales_come_first_and_the_rest_is_named():
    """Of many tables, five are proposed and the others are told."""
    names = ["apples", "berries", "cherries", "dates", "elders", "figs", "orders"]
    tables = [table(name, "id:integer user_id:integer") for name in names]
    proposal = propose([USERS, *tables], dialect="sqlite", quote=str)
    assert proposal is not None
    assert [path for path, _ in proposal.files][1:] == [
        "contacts/order.sql",
        "contacts/apple.sql",
        "contacts/berry.sql",
        "contacts/cherry.sql",
        "contacts/date.sql",
    ]
    assert proposal.left_out == ["elders", "figs"]


def test_tables_without_a_story_are_ignored():
    """Sessions, logs and plain join tables say nothing of a life cycle."""
    sessions = table("sessions", "id:integer user_id:integer")
    joins = table("team_users", "team_id:integer user_id:integer", key="team_id user_id")
    assert set(proposed(USERS, sessions, joins)) == {"contacts/identity.sql"}


def test_no_field_is_proposed_twice():
    """Two tables that would yield the same field give one mapping."""
    one = table("orders", "id:integer user_id:integer")
    two = table("Order", "id:integer user_id:integer")
    assert set(proposed(USERS, one, two)) == {"contacts/identity.sql", "contacts/order.sql"}
