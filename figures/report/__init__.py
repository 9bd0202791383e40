"""The report: one HTML file with verdict, figures, tables, method and settings."""
