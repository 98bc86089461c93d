"""How vectors are searched: index kinds, and index recipes by name (``indexes/*.yaml``), by path or written inline."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from retkd.indexing.exact import ExactIndex
from retkd.indexing.faiss_index import FaissIndex
from retkd.indexing.inverted import InvertedIndex
from retkd.indexing.maxsim import MaxSimIndex
from retkd.indexing.recipes import contents
from retkd.parts import one_of, registry

INDEXES = registry("indexes", FaissIndex, ExactIndex, InvertedIndex, MaxSimIndex)

AnyIndex: Any = Annotated[one_of(INDEXES), BeforeValidator(lambda value: contents(value, one_of(INDEXES)))]
"""A name or a path becomes what its file says before it is validated, so that keys hold parameters, not names."""
