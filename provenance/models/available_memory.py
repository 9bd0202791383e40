"""Memory that a device, this machine or its container has left."""

import os
from collections.abc import Iterator
from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def available_bytes(device: str = "cpu") -> int:
    """Memory available to a new process: of a CUDA device, of all for `cuda`, or of this machine and its cgroups."""
    if device == "cuda":
        return sum(int(torch.cuda.mem_get_info(number)[0]) for number in range(torch.cuda.device_count()))
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0])
    return min((_of_machine(), *_of_cgroups()))


def _of_machine() -> int:
    if MEMINFO.is_file():
        fields = dict(line.split(":", 1) for line in MEMINFO.read_text("utf-8").splitlines() if ":" in line)
        if "MemAvailable" in fields:
            return int(fields["MemAvailable"].split()[0]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")  # macOS says only how much is built in


def _of_cgroups() -> Iterator[int]:
    """Bytes left by each limit on this cgroup and all above (version 1 or 2); droppable file cache counts as left."""
    for folder, limit, usage, droppable in _memory_cgroups():
        text = _text(folder / limit)
        if text.isdigit():  # version 2 writes "max" where there is no limit
            stat = dict(line.split(" ", 1) for line in _text(folder / "memory.stat").splitlines() if " " in line)
            used = int(_text(folder / usage) or 0) - int(stat.get(droppable, 0))
            yield max(0, int(text) - max(0, used))


def _memory_cgroups() -> Iterator[tuple[Path, str, str, str]]:
    """Folders of the cgroups that may limit this process, with the names of limit, usage and droppable files."""
    for line in _text(OWN_CGROUPS).splitlines():
        number, controllers, path = line.split(":", 2)
        parts = [part for part in path.split("/") if part and part != ".."]
        if number == "0":
            root, names = CGROUPS, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            root, names = CGROUPS / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        for count in range(len(parts) + 1):  # a container may see its own cgroup as the root
            yield root.joinpath(*parts[:count]), *names


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except OSError:
        return ""
