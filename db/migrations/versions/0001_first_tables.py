"""The schema of 0.2.0; new databases are made from the tables themselves, later versions upgrade from here."""

revision = "0.2.0_19"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing: no database is older than this schema."""
