"""What a job needs before it starts: access, bytes, disk, memory and time."""
