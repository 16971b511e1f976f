"""What someone pays for: from a table of subscriptions, or from columns beside the address."""

from collections.abc import Collection, Sequence

from meisa_cdc.cli.proposals.identity import DATES, TEXT
from meisa_cdc.cli.proposals.tables import Column, Table
from meisa_cdc.cli.proposals.writing import Draft, Writer, selected

PURPOSE = (
    "What someone pays for. Upgrade, trial and win-back automations start from here, so these "
    "changes go out first."
)
PLANS = ("plan", "plan_name", "plan_code", "subscription_plan", "plan_type", "tier")
CYCLES = ("billing_cycle", "billing_interval", "billing_period")
TRIALS = ("trial_ends_at", "trial_ends_on", "trial_end", "trial_end_date", "trial_expires_at")
STATUSES = ("subscription_status", "plan_status")
#: Field -> (names of its column, what it may hold), beside the address.
OF_PEOPLE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plan": ((*PLANS, "subscription_tier"), TEXT),
    "subscription_status": (STATUSES, TEXT),
    "account_status": (("account_status", "user_status", "status"), TEXT),
    "billing_cycle": (CYCLES, TEXT),
    "trial_ends_at": (TRIALS, DATES),
}
#: The same in a table of subscriptions, where a status needs no longer name.
OF_SUBSCRIPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "plan": ((*PLANS, "tier", "product"), TEXT),
    "subscription_status": ((*STATUSES, "status", "state"), TEXT),
    "billing_cycle": ((*CYCLES, "interval"), TEXT),
    "trial_ends_at": (TRIALS, DATES),
}
STARTS = ("started_at", "starts_at", "start_date", "current_period_start", "created_at")
#: What a plan is called in its own table.
NAMES = ("code", "slug", "key", "name", "title")


def subscription(
    people: Table, tables: Sequence[Table], writer: Writer, taken: Collection[str]
) -> Draft | None:
    """Return the mapping of plan and status, or None where nothing tells them."""
    for table in tables:
        if table.noun.split("_")[-1] == "subscription" and table.link_to(people):
            draft = _from_subscriptions(people, table, tables, writer)
            if draft is not None:
                return draft
    return _from_people(people, writer, taken)


def _columns(
    table: Table, known: dict[str, tuple[tuple[str, ...], tuple[str, ...]]]
) -> dict[str, Column]:
    found = {field: table.find(names, families) for field, (names, families) in known.items()}
    return {field: column for field, column in found.items() if column is not None}


def _declared(fields: Collection[str]) -> dict[str, str]:
    return {"trial_ends_at": "{'type': 'datetime'}"} if "trial_ends_at" in fields else {}


def _from_people(people: Table, writer: Writer, taken: Collection[str]) -> Draft | None:
    columns = {
        field: column for field, column in _columns(people, OF_PEOPLE).items() if field not in taken
    }
    if not columns:
        return None
    key = people.primary_key[0]
    expressions = {"external_id": writer.column("u", key)}
    expressions |= {field: writer.column("u", column.name) for field, column in columns.items()}
    text = writer.mapping(
        PURPOSE,
        {"priority": "'urgent'"},
        _declared(expressions),
        "select",
        *selected(expressions),
        f"from {writer.table(people, 'u')}",
        f"where {writer.only('u', key)}",
    )
    return Draft(name="plan", text=text, fields=list(columns))


def _from_subscriptions(
    people: Table, table: Table, tables: Sequence[Table], writer: Writer
) -> Draft | None:
    columns = _columns(table, OF_SUBSCRIPTIONS)
    link, plans = table.link_to(people), _plans(table, tables)
    order = _newest_first(table, writer)
    if (not columns and plans is None) or not order:
        return None
    inner = {"contact": writer.column("s", link)}
    outer = {"external_id": "latest.contact"}
    joins = []
    if plans is not None:
        owner, reference, name = plans
        columns.pop("plan", None)
        inner["plan_ref"] = writer.column("s", reference)
        outer["plan"] = writer.column("p", name)
        target = writer.column("p", owner.primary_key[0])
        joins = [f"left join {writer.table(owner, 'p')} on {target} = latest.plan_ref"]
    for field, column in columns.items():
        inner[field] = writer.column("s", column.name)
        outer[field] = f"latest.{field}"
    inner["place"] = f"row_number() over (partition by {inner['contact']} order by {order})"
    text = writer.mapping(
        f"{PURPOSE} Of several rows of {table.name} the newest counts.",
        {"priority": "'urgent'"},
        _declared(outer),
        "select",
        *selected(outer),
        "from (",
        "    select",
        *(f"    {line}" for line in selected(inner)),
        f"    from {writer.table(table, 's')}",
        f"    where {writer.only('s', link)}",
        ") latest",
        *joins,
        "where latest.place = 1",
    )
    return Draft(name="plan", text=text, fields=[*outer][1:])


def _newest_first(table: Table, writer: Writer) -> str:
    start = table.find(STARTS, DATES)
    names = [start.name] if start is not None else []
    names += [name for name in table.primary_key if name not in names]
    return ", ".join(f"{writer.column('s', name)} desc" for name in names)


def _plans(table: Table, tables: Sequence[Table]) -> tuple[Table, str, str] | None:
    """Return the table of plans, the column that points at it, and the column of its names."""
    for other in tables:
        if other.noun.split("_")[-1] in ("plan", "tier", "price", "product"):
            link = table.link_to(other)
            name = other.find(NAMES, TEXT)
            if link and name is not None:
                return other, link, name.name
    return None
