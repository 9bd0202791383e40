"""Requirements of a job before it starts: access, bytes, disk, memory and time."""
