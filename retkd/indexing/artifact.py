"""The files of an index artifact."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from retkd.errors import WorkspaceError
from retkd.shards import atomic
from retkd.vectors import CorpusVectors

SHARED = ("vectors.npy", "doc_ids.txt")


def take_vectors(corpus: CorpusVectors, out: Path) -> None:
    """Put the corpus' vectors and ids into ``out``."""
    take(corpus.folder, SHARED, out)


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
