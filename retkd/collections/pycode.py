"""Code search that every Python brings along: sentences of docstrings, functions of the standard library."""

import platform
from hashlib import sha1, sha256
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from retkd.collections.base import Document, Query
from retkd.collections.beir_folder import write_documents, write_qrels, write_queries
from retkd.collections.cache_folder import write_json
from retkd.collections.code_pairs import SPLITS, code_pairs
from retkd.collections.file_digest import file_digests
from retkd.collections.made import COUNTS, MadeConfig
from retkd.collections.standard_library import library_files, library_root, module_name

VERSION = 2
"""Of the rules by which pairs are made; part of the digest."""


class PyCode(MadeConfig):
    """The query is the first sentence of a docstring, the document the function's source without its docstring.

    Nothing is imported or executed. Splits go by module, which is a file
    (72/10/18 % of files), so none leaks; query and document have the
    same id, ``module:qualname``. The same Python gives the same collection on each machine; a Linux distribution that
    patches or splits up the library gives another, with another digest.
    """

    kind: Literal["pycode"] = "pycode"
    share: float = Field(default=1.0, gt=0.0, le=1.0, description="share of the library's modules, for small budgets")
    made_from: ClassVar[str] = "pycode"

    def content_digest(self, cache: Path) -> str:
        """SHA-256 over the rules' version, Python's version, and name and content of the files that are read."""
        root = library_root()
        files = self._files(root)
        contents = file_digests([root / path for path in files], cache)
        lines = [f"pycode {VERSION} {platform.python_implementation()} {platform.python_version()}"]
        lines += [f"{path} {content}" for path, content in zip(files, contents, strict=True)]
        return sha256("\n".join(lines).encode()).hexdigest()

    def _files(self, root: Path) -> list[str]:
        """The library's files, or the share of them whose module name has a small SHA-1: the same ones each time."""
        return [path for path in library_files(root) if place_of(module_name(path)) < self.share]

    def split_names(self) -> tuple[str, ...]:
        """train, dev, test."""
        return SPLITS

    def make(self, folder: Path) -> None:
        """Read the library and write the pairs. Takes some seconds."""
        root = library_root()
        pairs, dropped = code_pairs(root, self._files(root))
        write_documents(folder, (Document(pair.doc_id, pair.source) for pair in pairs))
        write_queries(folder, (Query(pair.doc_id, pair.query) for pair in pairs))
        write_qrels(folder, {s: [(p.doc_id, p.doc_id, 1) for p in pairs if p.split == s] for s in SPLITS})
        write_json(folder / COUNTS, {"functions left out": dropped})


def place_of(module: str) -> float:
    """A number in [0, 1) that a module always gets, independent of the one that chooses its split."""
    return int(sha1(f"share {module}".encode()).hexdigest(), 16) % 100_000 / 100_000
