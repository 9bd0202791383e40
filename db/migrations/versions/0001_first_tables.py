"""The schema of 0.2.0. A new database is made from the tables of `db.schema.tables`; what comes after upgrades from
here."""

revision = "0.2.0_1"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: no database is older than this schema."""
