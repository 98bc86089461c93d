"""The same documents and queries in several languages, joined by id: a teacher may read one, a student another.

Scores of a candidates table belong to pairs of ids. So one stage can let a teacher score English passages and another
train a student on the German ones, each with its view of the collection (``views`` of the recipe).
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from retkd.collections.base import CollectionConfig
from retkd.collections.cut import Cut
from retkd.collections.translated import TranslatedCollection
from retkd.parts import Part

if TYPE_CHECKING:
    AnyCollection = Any


class Translation(Part):
    """One language: a collection, and how the ids that all languages share stand in its own."""

    LATER: ClassVar[tuple[str, ...]] = ("query_id_pattern",)

    collection: "AnyCollection"
    prefix: str = Field(
        default="", description="such as de-; documents and queries of other ids are not of this language"
    )

    query_id_pattern: str | None = Field(
        default=None,
        description="of whole query ids, such as (.+#)de(.+): the groups, one after the other, are the shared id; "
        "queries of other ids are not of this language. Default: the prefix goes",
    )

    @field_validator("query_id_pattern")
    @classmethod
    def _with_groups(cls, pattern: str | None) -> str | None:
        try:
            groups = re.compile(pattern).groups if pattern is not None else 1
        except re.error as error:
            raise ValueError(f"not a regular expression: {error}") from error
        if not groups:
            raise ValueError("it has no group: what stands in parentheses is the shared id, as in (.+#)de(.+)")
        return pattern

    def shared(self, query_id: str) -> str | None:
        """The id that all languages share; ``None`` where the query is not of this language."""
        if self.query_id_pattern is None:
            return query_id.removeprefix(self.prefix) if query_id.startswith(self.prefix) else None
        found = re.fullmatch(self.query_id_pattern, query_id)
        return None if found is None else "".join(group or "" for group in found.groups())

    @field_validator("collection")
    @classmethod
    def _whole(cls, collection: CollectionConfig) -> CollectionConfig:
        if collection.sample:
            raise ValueError(
                "`sample` belongs to the collection of translations: here each language would draw its own"
            )
        return collection


class Translations(CollectionConfig):
    """Collections of several languages whose ids agree. A document or a query is the same one in each of them.

    Splits and judgements are those of the first language in ``queries``. Queries in a further one are the split
    ``SPLIT.LANGUAGE``, so that each language is evaluated by itself. Documents are read in the first language of
    ``documents``; a train stage with ``document_languages`` reads the others too.
    """

    kind: Literal["translations"] = "translations"
    languages: dict[str, Translation] = Field(
        min_length=1,
        description="language -> {collection: ..., prefix: what its ids begin with}; where query ids differ inside, "
        "`query_id_pattern: (.+#)de(.+)`, whose groups, one after the other, are the shared id",
    )
    queries: list[str] = Field(min_length=1, description="languages that the queries are read in; one name will do")
    documents: list[str] = Field(min_length=1, description="languages that the documents are read in; one name will do")
    cut: Cut | None = Field(
        default=None, description="splits made out of one: {split: test, shares: {train: 0.7, test: 0.3}}"
    )

    @field_validator("queries", "documents", mode="before")
    @classmethod
    def _one_will_do(cls, names: Any) -> Any:
        return [names] if isinstance(names, str) else names

    @model_validator(mode="after")
    def _known(self) -> "Translations":
        for key in ("queries", "documents"):
            names = getattr(self, key)
            unknown = [name for name in names if name not in self.languages]
            if unknown:
                raise ValueError(f"`{key}` names {unknown[0]!r}; `languages` has {', '.join(self.languages)}")
            if len(set(names)) < len(names):
                raise ValueError(f"`{key}` names a language twice")
        return self

    def open(self, cache: Path) -> TranslatedCollection:
        """The collection; nothing is read before it is asked for."""
        used = dict.fromkeys([*self.queries, *self.documents])
        return TranslatedCollection(self, {name: self.languages[name].collection.open(cache) for name in used})
