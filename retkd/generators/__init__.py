"""Generators: queries for documents that have none."""

from typing import Any

from retkd.generators.extract import Extract
from retkd.generators.llm import LLMQueries
from retkd.parts import one_of, registry

GENERATORS = registry("generators", LLMQueries, Extract)

AnyGenerator: Any = one_of(GENERATORS)
