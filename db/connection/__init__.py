"""A database opened: its URL, its schema brought up to date, and digests of its runs."""
