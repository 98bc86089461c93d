"""Generators: queries for documents that have none, and variants of those that were asked."""

from typing import Any

from retkd.generators.drop_words import DropWords
from retkd.generators.extract import Extract
from retkd.generators.llm import LLMQueries
from retkd.generators.nearest_tokens import NearestTokens
from retkd.parts import one_of, registry

GENERATORS = registry("generators", LLMQueries, Extract, DropWords, NearestTokens)

AnyGenerator: Any = one_of(GENERATORS)
