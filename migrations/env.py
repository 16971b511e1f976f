"""Runs our migrations on the connection, and in the transaction, that the program hands over."""

from alembic import context

from meisa_cdc.state.schema import VERSION_TABLE, metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # All or nothing on SQLite as well: whoever is killed in the middle leaves no half of it.
    transactional_ddl=True,
    render_as_batch=connection.dialect.name == "sqlite",
)
context.run_migrations()
