"""Figures, tables and the report, all drawn from the database alone."""
