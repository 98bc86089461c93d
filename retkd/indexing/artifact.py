"""The files of an index artifact."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from retkd.encoders.truncation import require_narrower, shortened
from retkd.encoders.vectors import FILES, CorpusVectors
from retkd.errors import WorkspaceError
from retkd.shards import atomic

BLOCK = 65_536


def cut_vectors(corpus: CorpusVectors, dim: int, out: Path) -> None:
    """Put the corpus' ids, and its vectors cut to ``dim`` coordinates, into ``out``. The store keeps them whole."""
    vectors = corpus.vectors
    require_narrower(dim, vectors.shape[1], "stage index, dim")
    take(corpus.folder, ("doc_ids.txt",), out)
    with atomic(out / "vectors.npy") as temporary, temporary.open("wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": (len(vectors), dim)}
        np.lib.format.write_array_header_1_0(file, header)
        for start in range(0, len(vectors), BLOCK):
            file.write(shortened(vectors[start : start + BLOCK], dim).astype("<f4", copy=False).data)


def take_vectors(corpus: CorpusVectors, out: Path) -> None:
    """Put the corpus' vectors and ids into ``out``."""
    take(corpus.folder, FILES, out)


def take(folder: Path, names: Sequence[str], out: Path) -> None:
    """Put these files of ``folder`` into ``out``: a hard link where the file system has them, else a copy."""
    for name in names:
        with atomic(out / name) as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(folder / name, temporary)
            except OSError:
                shutil.copyfile(folder / name, temporary)


def write_description(out: Path, told: Mapping[str, Any]) -> None:
    """Write ``index.json``."""
    with atomic(out / "index.json") as temporary:
        temporary.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def read_description(folder: Path) -> dict[str, Any]:
    """What ``index.json`` tells. Raises :class:`WorkspaceError` when there is none."""
    if not (folder / "index.json").is_file():
        raise WorkspaceError(
            "this folder holds no index",
            where=folder,
            allowed="a folder with index.json, doc_ids.txt and vectors.npy",
            next_step="name the artifact of a stage of kind index, or run that stage",
        )
    told: dict[str, Any] = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return told
