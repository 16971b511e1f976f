"""What MySQL and MariaDB read otherwise than our parser does, or other databases do.

Whatever is in doubt is not followed.
"""

import re
from collections.abc import Iterable

from sqlglot import exp
from sqlglot.expressions import Expr

from meisa_cdc.source.affected.answers import Beyond, Catalogue, FullScan

CALLED = re.compile(r"([A-Za-z_$][A-Za-z0-9_$]*)`?\s*\(")
#: Nodes that mean something of the session, or of a moment, or of the order of rows.
REFUSED = (exp.Parameter, exp.SessionParameter, exp.Partition, exp.Version, exp.Dot, exp.Xor)


def refuse_mysql(text: str, tree: exp.Query, catalogue: Catalogue) -> None:
    """Refuse what may be understood in two ways. Raises Beyond."""
    if next(tree.find_all(*REFUSED), None) is not None:
        raise _beyond("its SQL is not understood well enough", "Write it in plainer SQL.")
    for name in CALLED.findall(text):
        if name.lower() in catalogue.opaque:
            raise _beyond(
                f"the function {name.lower()} may read tables",
                "Write what it does into the mapping.",
            )
    names = [each.name for each in tree.find_all(exp.Identifier)]
    names += (column for shape in catalogue.tables.values() for column in shape.columns)
    if not _told_apart(names):
        raise _beyond(
            "it has names that differ in case alone, or with letters beyond ASCII",
            "Write each name as the table has it.",
        )
    for select in tree.find_all(exp.Select):
        _refuse_grouping(select, catalogue)


def _told_apart(names: Iterable[str]) -> bool:
    """Tell whether names mean the same to a server that takes a and A for one."""
    distinct = set(names)
    return all(map(str.isascii, distinct)) and len({n.lower() for n in distinct}) == len(distinct)


def _refuse_grouping(select: exp.Select, catalogue: Catalogue) -> None:
    """Refuse to group by a name that is both a column's and something else's."""
    group = select.args.get("group")
    if group is None:
        return
    columns = {column for shape in catalogue.tables.values() for column in shape.columns}
    for each in group.expressions:
        if not isinstance(each, exp.Column) or each.table or each.name not in columns:
            continue
        for made in select.expressions:
            if made.alias_or_name == each.name and not _is_column(made.unalias(), each.name):
                raise _beyond(
                    f"it is grouped by {each.name}, which is a column and something else",
                    "Write the name of the table before it.",
                )


def _is_column(made: Expr, name: str) -> bool:
    return isinstance(made, exp.Column) and made.name == name


def _beyond(reason: str, advice: str) -> Beyond:
    return Beyond(FullScan(reason=reason, advice=advice))
