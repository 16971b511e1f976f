"""The tables of the demo's application: an ordinary product with subscriptions."""

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Integer, MetaData, Table, Text

METADATA = MetaData()

USERS = Table(
    "users",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("email", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("country", Text),
    Column("job_title", Text),
    Column("language", Text),
    Column("referral_source", Text),
    Column("created_at", DateTime, nullable=False),
    Column("last_login_at", DateTime),
    Column("onboarding_completed", Boolean, nullable=False),
    # Here so that it can be seen never to leave: no mapping reads it.
    Column("password_hash", Text, nullable=False),
)

PLANS = Table(
    "plans",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("code", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("monthly_cents", Integer, nullable=False),
)

SUBSCRIPTIONS = Table(
    "subscriptions",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("plan_id", ForeignKey("plans.id"), nullable=False),
    Column("status", Text, nullable=False),
    Column("billing_cycle", Text, nullable=False),
    Column("mrr_cents", Integer, nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("canceled_at", DateTime),
)

POSTS = Table(
    "posts",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("created_at", DateTime, nullable=False),
)

LOGINS = Table(
    "logins",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("at", DateTime, nullable=False),
)

PAYMENTS = Table(
    "payments",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("amount_cents", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("at", DateTime, nullable=False),
)

ACTIVATIONS = Table(
    "activations",
    METADATA,
    Column("id", Integer, primary_key=True),
    Column("user_id", ForeignKey("users.id"), nullable=False, index=True),
    Column("feature", Text, nullable=False),
    Column("at", DateTime, nullable=False),
)

BETA_SIGNUPS = Table(
    "beta_signups",
    METADATA,
    Column("user_id", ForeignKey("users.id"), primary_key=True),
    Column("at", DateTime, nullable=False),
)
