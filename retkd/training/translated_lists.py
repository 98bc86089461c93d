"""Candidate lists with their documents in the languages that a training asks for. Teacher scores stay those of the ids."""

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from retkd.batch import Example
from retkd.training.document_languages import DocumentLanguages
from retkd.training.examples import CandidateLists


class TranslatedLists(Sequence[Example]):
    """Examples of ``lists``. A document's id within a batch is ``LANGUAGE/DOC_ID``: its texts are documents of their own."""

    def __init__(self, lists: CandidateLists, told: DocumentLanguages, seed: int) -> None:
        self.lists, self.told, self.seed = lists, told, seed
        self.collections = {language: lists.collection.in_language(language) for language in told.languages}
        self.copies = len(told.languages) if told.mix == "lists" else 1

    def __len__(self) -> int:
        return len(self.lists) * self.copies

    @property
    def query_ids(self) -> list[str]:
        """The query of each example."""
        return self.lists.query_ids * self.copies

    @property
    def languages(self) -> list[str]:
        """The language of each example's documents; all alike where they are mixed."""
        if self.told.mix != "lists":
            return [""] * len(self)
        return [language for language in self.told.languages for _ in range(len(self.lists))]

    def __getitem__(self, position: Any) -> Example:  # type: ignore[override]
        if not 0 <= position < len(self):
            raise IndexError(position)
        copy, at = divmod(position, len(self.lists))
        if self.told.mix == "all":
            variants = [self._translated(at, [language] * len(self.lists.ids(at))) for language in self.told.languages]
            return _beside_each_other(variants)
        if self.told.mix == "lists":
            return self._translated(at, [self.told.languages[copy]] * len(self.lists.ids(at)))
        query_id = self.lists.query_ids[at]
        return self._translated(at, [self._drawn(query_id, doc_id) for doc_id in self.lists.ids(at)])

    def _drawn(self, query_id: str, doc_id: str) -> str:
        number = int.from_bytes(sha256(f"{self.seed} {query_id} {doc_id}".encode()).digest()[:8], "big")
        return self.told.languages[number % len(self.told.languages)]

    def _translated(self, at: int, languages: Sequence[str]) -> Example:
        """The example with each document in its language."""
        doc_ids, texts = self.lists.ids(at), {}
        for language in dict.fromkeys(languages):
            wanted = [doc_id for doc_id, own in zip(doc_ids, languages, strict=True) if own == language]
            for document in self.collections[language].documents_by_id(wanted):
                texts[f"{language}/{document.doc_id}"] = document.full_text
        example = self.lists.example(
            at, [f"{own}/{doc_id}" for own, doc_id in zip(languages, doc_ids, strict=True)], texts
        )
        positives = {f"{own}/{doc_id}" for own in self.told.languages for doc_id in example.all_positives}
        return replace(example, all_positives=frozenset(positives))


def _beside_each_other(variants: Sequence[Example]) -> Example:
    """One example whose candidates are those of all variants, one variant after the other."""

    def joined(parts: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
        return tuple(each for part in parts for each in part)

    return replace(
        variants[0],
        doc_ids=joined([each.doc_ids for each in variants]),
        documents=joined([each.documents for each in variants]),
        relevance=joined([each.relevance for each in variants]),
        teachers={name: joined([each.teachers[name] for each in variants]) for name in variants[0].teachers},
        num_variants=len(variants),
    )
