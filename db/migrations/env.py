"""Alembic's entry: runs the migrations on the connection that `provenance.db.connection.migrate` hands over."""

from alembic import context

from provenance.db.schema.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=True,  # SQLite can, when BEGIN is ours: a killed migration leaves nothing half-done
)
with context.begin_transaction():
    context.run_migrations()
