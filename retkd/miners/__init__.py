"""Miners: who proposes the candidates of a query."""

from typing import Any

from retkd.miners.bm25 import BM25
from retkd.miners.dense import DenseMiner
from retkd.miners.fused import Fused
from retkd.miners.late_interaction import LateInteractionMiner
from retkd.miners.lucene import Lucene
from retkd.miners.random import RandomMiner
from retkd.miners.responses import Responses
from retkd.miners.run_file import RunFile
from retkd.miners.sparse import SparseMiner
from retkd.miners.stage_lists import StageLists
from retkd.parts import one_of, registry

MINERS = registry(
    "miners",
    BM25,
    Lucene,
    DenseMiner,
    SparseMiner,
    LateInteractionMiner,
    RunFile,
    RandomMiner,
    Responses,
    StageLists,
    Fused,
)

AnyMiner: Any = one_of(MINERS)
Fused.model_rebuild(_types_namespace={"AnyMiner": AnyMiner})
