"""Options and exit codes that commands share."""
