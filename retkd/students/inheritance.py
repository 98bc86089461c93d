"""What else a student takes over from its base: steps that make the kept layers smaller, one after the other."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from retkd.collections.base import Collection
from retkd.parts import Part

Texts = Callable[[], Iterator[str]]
"""All that a student may learn from, as its tokeniser is given it, prompts included."""


class Inheritance(Part):
    """One step of an initialisation."""

    def inherit(self, transformer: Any, texts: Texts, where: str) -> Any:
        """The smaller sentence-transformers ``Transformer``. ``texts`` streams; ``where`` names the base in errors."""
        raise NotImplementedError


def texts_of(collection: Collection | None, prompts: dict[str, str], where: str) -> Texts:
    """The documents in the collection's order, then the training queries; no other split is looked at."""

    def texts() -> Iterator[str]:
        from retkd.errors import ModelError

        if collection is None:
            raise ModelError("this student is made to fit a collection, and none was given", where=where)
        for document in collection.documents():
            yield prompts.get("document", "") + document.full_text
        for query in collection.queries("train") if "train" in collection.splits else []:
            yield prompts.get("query", "") + query.text

    return texts


def reloaded(transformer: Any, edit: Callable[[Path], None] = lambda folder: None) -> Any:
    """The module as it comes back from disk, so that what is trained is what will be loaded.

    ``edit`` may change the files in between.
    """
    with TemporaryDirectory() as folder:
        transformer.save(folder)
        edit(Path(folder))
        return type(transformer).load(folder)
