"""Alembic's door to the main database: `medflow.store.schema` hands the connection in."""

from alembic import context
from sqlalchemy import Connection

from medflow.store.engine import open_engine, writing
from medflow.store.tables import metadata


def migrate(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:  # the `alembic` command, for whoever writes a migration: alembic -x url=sqlite:///some.db revision ...
    with writing(open_engine(context.get_x_argument(as_dictionary=True)["url"])) as connection:
        migrate(connection)
