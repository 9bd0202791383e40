"""Progress and result tables on the terminal."""
