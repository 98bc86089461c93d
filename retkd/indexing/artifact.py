"""The files of an index artifact."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from retkd.shards import atomic
from retkd.vectors import CorpusVectors

SHARED = ("vectors.npy", "doc_ids.txt")


def take_vectors(corpus: CorpusVectors, out: Path) -> None:
    """Put the corpus' vectors and ids into ``out``: a hard link where the file system has them, else a copy."""
    for name in SHARED:
        with atomic(out / name) as temporary:
            temporary.unlink(missing_ok=True)
            try:
                os.link(corpus.folder / name, temporary)
            except OSError:
                shutil.copyfile(corpus.folder / name, temporary)


def write_description(out: Path, told: Mapping[str, Any]) -> None:
    """Write ``index.json``."""
    with atomic(out / "index.json") as temporary:
        temporary.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
