"""Objectives: weighted terms of a recipe's loss, each a few parameters around one pure function of ``retkd.losses``."""

from typing import Any

from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.lambda_mrr import LambdaMRR
from retkd.objectives.margin_mse import MarginMSE
from retkd.parts import one_of, registry

OBJECTIVES = registry("objectives", KL, InBatchKL, MarginMSE, LambdaMRR, InfoNCE)

AnyObjective: Any = one_of(OBJECTIVES)
