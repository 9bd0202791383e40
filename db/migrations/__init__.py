"""Numbered migrations; each says what one row of its tables is by creating what `db.schema.tables` describes."""
