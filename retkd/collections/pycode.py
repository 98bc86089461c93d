"""Code search that every Python brings along: sentences of docstrings, functions of the standard library."""

import platform
from hashlib import sha256
from pathlib import Path
from typing import ClassVar, Literal

from retkd.collections.base import Document, Query
from retkd.collections.beir_folder import write_documents, write_qrels, write_queries
from retkd.collections.cache_folder import write_json
from retkd.collections.code_pairs import SPLITS, code_pairs
from retkd.collections.file_digest import file_digests
from retkd.collections.made import COUNTS, MadeConfig
from retkd.collections.standard_library import library_files, library_root

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
    made_from: ClassVar[str] = "pycode"

    def content_digest(self, cache: Path) -> str:
        """SHA-256 over the rules' version, Python's version, and name and content of the files that are read."""
        root = library_root()
        files = library_files(root)
        contents = file_digests([root / path for path in files], cache)
        lines = [f"pycode {VERSION} {platform.python_implementation()} {platform.python_version()}"]
        lines += [f"{path} {content}" for path, content in zip(files, contents, strict=True)]
        return sha256("\n".join(lines).encode()).hexdigest()

    def split_names(self) -> tuple[str, ...]:
        """train, dev, test."""
        return SPLITS

    def make(self, folder: Path) -> None:
        """Read the library and write the pairs. Takes some seconds."""
        root = library_root()
        pairs, dropped = code_pairs(root, library_files(root))
        write_documents(folder, (Document(pair.doc_id, pair.source) for pair in pairs))
        write_queries(folder, (Query(pair.doc_id, pair.query) for pair in pairs))
        write_qrels(folder, {s: [(p.doc_id, p.doc_id, 1) for p in pairs if p.split == s] for s in SPLITS})
        write_json(folder / COUNTS, {"functions left out": dropped})
