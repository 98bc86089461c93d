"""What a stage costs: wall seconds and peak memory. What it may use: the device and the threads."""

import ctypes
import gc
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from retkd import processes
from retkd.errors import ModelError

STATUS = Path("/proc/self/status")


@dataclass
class Cost:
    """Filled in when the measured block ends. ``peak_memory_mib`` is resident memory of this process."""

    wall_seconds: float = 0.0
    peak_memory_mib: float = 0.0


@contextmanager
def measured() -> Iterator[Cost]:
    """Measure the block. Where the system cannot reset its peak (not Linux), the peak is that of the whole process."""
    cost = Cost()
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    began = time.perf_counter()
    try:
        yield cost
    finally:
        cost.wall_seconds = time.perf_counter() - began
        cost.peak_memory_mib = peak_memory_mib()


def peak_memory_mib() -> float:
    """Peak resident memory of this process in MiB."""
    if STATUS.exists():
        line = next(line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def release_memory() -> None:
    """Give back what a finished stage held: cycles that hold models, freed pages that the allocator kept, cached blocks."""
    gc.collect()
    if sys.platform == "linux":
        with suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def device(asked: str, threads: int | None = None) -> str:
    """The torch device to run on; ``auto`` takes CUDA, then MPS, then the CPU. Sets the thread count if one is given.

    Of several processes on a machine each gets a CUDA device of its own.
    Raises :class:`ModelError` when the device that was asked for is not here: no silent fall-back.
    """
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    here = _devices()
    if asked == "auto":
        asked = next(name for name in ("cuda", "mps", "cpu") if name in here)
    if asked.removesuffix(":0") not in here:
        raise ModelError(
            f"the device {asked} is not available to torch here",
            where="runtime.device",
            seen=asked,
            allowed=", ".join(["auto", *here]),
            next_step="set runtime.device, or install the torch build for that device",
        )
    return asked if processes.count() == 1 else _own_device(asked, torch.cuda.device_count())


def _devices() -> list[str]:
    """What torch has here; of several CUDA devices each by its number too."""
    import torch

    numbered = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    cuda = ["cuda", *numbered[1:]] if torch.cuda.is_available() else []
    return ["cpu", *cuda, *(["mps"] if torch.backends.mps.is_available() else [])]


def _own_device(asked: str, num_gpus: int) -> str:
    """The device of one of several processes."""
    place = processes.number_on_machine()
    if asked == "cpu":
        return asked
    if asked != "cuda" or place >= num_gpus:
        raise ModelError(
            f"process {place + 1} of this machine has no device of its own",
            where="runtime.device",
            seen=f"{asked}; {num_gpus} CUDA devices are here",
            allowed="cuda, with at most one process for each CUDA device, or cpu",
            next_step="start fewer processes (--nproc_per_node), or set runtime.device=cpu",
        )
    return f"cuda:{place}"
