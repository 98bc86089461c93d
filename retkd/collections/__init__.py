"""Collections: documents, queries and judgements, from files, from public catalogues, made on the spot, or joined."""

from typing import Any

from retkd.collections.beir import Beir
from retkd.collections.conversation import Conversation
from retkd.collections.huggingface import HuggingFace
from retkd.collections.ir_datasets import IrDatasets
from retkd.collections.msmarco import MsMarco
from retkd.collections.pycode import PyCode
from retkd.collections.translations import Translation, Translations
from retkd.parts import one_of, registry

COLLECTIONS = registry("collections", Beir, IrDatasets, MsMarco, HuggingFace, PyCode, Translations, Conversation)
AnyCollection: Any = one_of(COLLECTIONS)
for _holder in (Translation, Translations, Conversation):
    _holder.model_rebuild(_types_namespace={"AnyCollection": AnyCollection})
