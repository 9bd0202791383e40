"""The database as pages of a browser, by Datasette: the extra `browse`."""
