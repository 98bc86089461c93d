"""Objectives: weighted terms of a recipe's loss, each a few parameters around one pure function of ``retkd.losses``."""

from typing import Any

from retkd.objectives.adr_mse import ADRMSE
from retkd.objectives.approx_ndcg import ApproxNDCG
from retkd.objectives.base import Objective
from retkd.objectives.chatbot_mix import ChatbotMix
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cprd import CPRD
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.lambda_loss import LambdaLoss
from retkd.objectives.list_mle import ListMLE
from retkd.objectives.m3_kd import M3KD
from retkd.objectives.margin_mse import MarginMSE
from retkd.objectives.pld import PLD
from retkd.objectives.ranknet import RankNet
from retkd.objectives.soft_ce import SoftCE
from retkd.objectives.sparsity import L1, Flops
from retkd.parts import one_of, registry

OBJECTIVES: dict[str, type[Objective]] = registry(  # type: ignore[assignment]
    "objectives",
    KL,
    InBatchKL,
    MarginMSE,
    InfoNCE,
    RankNet,
    ADRMSE,
    ListMLE,
    PLD,
    CPRD,
    M3KD,
    LambdaLoss,
    ApproxNDCG,
    ChatbotMix,
    SoftCE,
    Flops,
    L1,
)

AnyObjective: Any = one_of(OBJECTIVES)
