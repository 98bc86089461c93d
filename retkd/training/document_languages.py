"""In which languages a training reads the documents of its lists."""

from typing import Literal

from pydantic import Field, field_validator

from retkd.parts import Part


class DocumentLanguages(Part):
    """The languages, which the stage's collection must have, and how they share the lists.

    lists: each list once in each language, all its documents in the same one. passages: each document of a list in a
    language drawn by seed, query and document. all: each list in all languages at once, so that they can be compared.
    Yang et al. 2024, "Distillation for Multilingual Information Retrieval", call the first two round robin entries and
    mix passages.
    """

    languages: list[str] = Field(min_length=1)
    mix: Literal["lists", "passages", "all"] = "lists"

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: list[str]) -> list[str]:
        if len(set(languages)) < len(languages):
            raise ValueError("a language stands twice")
        return languages
