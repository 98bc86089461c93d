"""FAISS indexes on disk, on the CPU and on a GPU."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import faiss

from retkd.indexing.base import Site
from retkd.progress import say
from retkd.shards import atomic

GPU_FACTORIES = r"Flat|IVF\d+,(Flat|SQ|PQ)"
_gpu_resources: dict[int, Any] = {}


def write(index: Any, path: Path) -> None:
    """Write a CPU index in one step."""
    with atomic(path) as temporary:
        faiss.write_index(index, str(temporary))


def opened(path: Path, factory: str, search: Mapping[str, int], site: Site) -> Any:
    """The index with its search parameters set, on the GPU if ``site.device`` is one. IVF lists stay on disk."""
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP)
    parameters = faiss.ParameterSpace()
    for name, value in search.items():
        parameters.set_index_parameter(index, name, value)
    return on_gpu(index, factory, site.device)


def on_gpu(index: Any, factory: str, device: str) -> Any:
    """The index moved to ``device`` if that is a GPU on which FAISS has this kind; else as it is, and it is said."""
    if not device.startswith("cuda"):
        return index
    if not hasattr(faiss, "StandardGpuResources"):
        say(f"index {factory}: on the CPU, since this is FAISS' CPU build (pip install 'retkd[gpu]' for faiss-gpu)")
        return index
    if not re.match(GPU_FACTORIES, factory):
        say(f"index {factory}: on the CPU, since FAISS has no GPU version of it")
        return index
    number = int(device.partition(":")[2] or 0)
    if number not in _gpu_resources:
        _gpu_resources[number] = faiss.StandardGpuResources()
    return faiss.index_cpu_to_gpu(_gpu_resources[number], number, index)


def on_cpu(index: Any) -> Any:
    """The index moved back from a GPU, or as it is."""
    return faiss.index_gpu_to_cpu(index) if hasattr(faiss, "GpuIndex") and isinstance(index, faiss.GpuIndex) else index
