"""What the numbers were measured on: processor, memory, threads, load, versions."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "transformers", "sentence-transformers", "tokenizers", "accelerate", "numpy", "retkd")
GIB = 2**30


def describe() -> dict[str, Any]:
    """Name -> value, for the table's head and the JSON."""
    import torch

    return {
        "cpu": _first("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / GIB, 1),
        "load_average_1min": load_average(),
        "system": platform.platform(terse=True),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
    }


def load_average() -> float:
    """How many processes wanted a core over the last minute, this process among them."""
    return round(os.getloadavg()[0], 2)


def versions() -> dict[str, str]:
    """Package -> version."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed (run from the source tree)"
    return found


def _first(path: str, field: str) -> str:
    if not Path(path).exists():
        return ""
    lines = (line.partition(":") for line in Path(path).read_text().splitlines())
    return next((value.strip() for name, _, value in lines if name.strip() == field), "")


def _commit() -> str:
    try:
        asked = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
