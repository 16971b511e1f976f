"""What somebody with more rights has to run, and whether anybody has to."""

from sqlalchemy import Connection, Dialect, Table, delete, false, func, insert, select, text, update
from sqlalchemy.schema import CreateIndex, CreateTable

from meisa_cdc.suppressed.schema import MYSQL, Tables

LOGIN = "meisa_cdc"

# Names of schemas here may hold the wildcards of LIKE.
MYSQL_MAY_CREATE = text("""
    select count(*)
    from (
        select grantee, privilege_type from information_schema.user_privileges
        union all
        select grantee, privilege_type from information_schema.schema_privileges
        where coalesce(:schema, database()) like table_schema
    ) as granted
    where privilege_type = 'CREATE'
      and grantee = concat('''', replace(current_user(), '@', '''@'''), '''')
""")


def ddl(tables: Tables, dialect: Dialect, login: str | None) -> str:
    """Return the statements that create the tables and let `login` write them."""
    statements = []
    if tables.schema and dialect.name == "postgresql":
        statements.append(f"create schema if not exists {_quoted(tables.schema, dialect)}")
    for table in tables.all:
        statements.append(str(CreateTable(table, if_not_exists=True).compile(dialect=dialect)))
        again = dialect.name not in MYSQL
        statements += [
            str(CreateIndex(each, if_not_exists=again).compile(dialect=dialect))
            for each in table.indexes
        ]
    statements += _grants(tables, dialect, login or LOGIN)
    return "\n".join(f"{_tidy(each)};" for each in statements)


def may_create(tables: Tables, connection: Connection) -> bool:
    """Tell whether the tables can be created here, without trying it."""
    dialect = connection.dialect.name
    if dialect == "postgresql":
        schema = func.coalesce(tables.schema, func.current_schema())
        known = select(text("1")).select_from(text("pg_namespace")).where(text("nspname = :name"))
        name = connection.scalar(select(schema))
        if not connection.scalar(known, {"name": name}):
            return False
        return bool(connection.scalar(select(func.has_schema_privilege(name, "create"))))
    if dialect in MYSQL:
        return bool(connection.scalar(MYSQL_MAY_CREATE, {"schema": tables.schema}))
    return True  # SQLite knows no rights but the file's, and a writing transaction is open


def touch(table: Table, connection: Connection) -> None:
    """Do to a table what a pull does, to no row; the database refuses where rights are missing."""
    given = [each for each in table.columns if each.identity is None]
    connection.execute(select(table).where(false()))
    connection.execute(insert(table).from_select(given, select(*given).where(false())))
    connection.execute(update(table).where(false()).values({each: each for each in given}))
    connection.execute(delete(table).where(false()))


def _grants(tables: Tables, dialect: Dialect, login: str) -> list[str]:
    names = [dialect.identifier_preparer.format_table(each) for each in tables.all]
    rights = "grant select, insert, update, delete on"
    if dialect.name == "postgresql":
        who = _quoted(login, dialect)
        schema = _quoted(tables.schema or "public", dialect)
        return [f"grant usage on schema {schema} to {who}", f"{rights} {', '.join(names)} to {who}"]
    if dialect.name in MYSQL:
        return [f"{rights} {name} to '{login}'@'%'" for name in names]
    return []


def _quoted(name: str, dialect: Dialect) -> str:
    return dialect.identifier_preparer.quote(name)


def _tidy(statement: str) -> str:
    return "\n".join(line.rstrip().expandtabs(4) for line in statement.strip().splitlines())
