"""Named queries and read-only SQL, and their results as table, CSV, JSON or Parquet."""
