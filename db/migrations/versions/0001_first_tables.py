"""The schema of 0.2.0, created from the tables of `db.schema.tables`; later migrations upgrade from here."""

revision = "0.2.0_1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: no database is older than this schema."""
