"""Objectives: weighted terms of a recipe's loss, each a few parameters around one pure function of ``retkd.losses``."""

from typing import Any

from retkd.objectives.adr_mse import ADRMSE
from retkd.objectives.approx_ndcg import ApproxNDCG
from retkd.objectives.chatbot_mix import ChatbotMix
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cosine import Cosine
from retkd.objectives.cprd import CPRD
from retkd.objectives.crd import CRD
from retkd.objectives.gradient import Gradient
from retkd.objectives.icl import ICL
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.lambda_loss import LambdaLoss
from retkd.objectives.lelp import LELP
from retkd.objectives.list_mle import ListMLE
from retkd.objectives.m3_kd import M3KD
from retkd.objectives.margin_mse import MarginMSE
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.mixup import Mixup
from retkd.objectives.pld import PLD
from retkd.objectives.quantised import Quantised
from retkd.objectives.ranknet import RankNet
from retkd.objectives.relation import Relation
from retkd.objectives.soft_ce import SoftCE
from retkd.objectives.spread import Alignment, Uniformity
from retkd.objectives.unic import UNIC
from retkd.objectives.vector_mse import VectorMSE
from retkd.objectives.vkd import VKD
from retkd.objectives.wcord import WCoRD
from retkd.parts import one_of, registry

OBJECTIVES = registry(
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
    Cosine,
    VectorMSE,
    VKD,
    UNIC,
    ICL,
    CRD,
    WCoRD,
    Relation,
    Gradient,
    LELP,
    Mixup,
    Alignment,
    Uniformity,
    Matryoshka,
    Quantised,
)

AnyObjective: Any = one_of(OBJECTIVES)
for _wrapper in (Matryoshka, Quantised):
    _wrapper.model_rebuild(_types_namespace={"AnyObjective": AnyObjective})
