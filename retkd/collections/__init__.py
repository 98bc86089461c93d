"""Collections: documents, queries and judgements, from files, from public catalogues, or made on the spot."""

from retkd.collections.beir import Beir
from retkd.collections.huggingface import HuggingFace
from retkd.collections.ir_datasets import IrDatasets
from retkd.collections.msmarco import MsMarco
from retkd.collections.pycode import PyCode
from retkd.parts import one_of, registry

COLLECTIONS = registry("collections", Beir, IrDatasets, MsMarco, HuggingFace, PyCode)
AnyCollection = one_of(COLLECTIONS)
