"""Tables of the report and of LaTeX: rows of named queries as cells of text."""
