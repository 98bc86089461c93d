"""Objectives: weighted terms of a recipe's loss, each a few parameters around one pure function of ``retkd.losses``."""

from typing import Annotated, Any

from pydantic import AfterValidator

from retkd.objectives.absolute import BCE, ScoreMSE
from retkd.objectives.adr_mse import ADRMSE
from retkd.objectives.affinity import Affinity
from retkd.objectives.agreement_kl import AgreementKL
from retkd.objectives.approx_ndcg import ApproxNDCG
from retkd.objectives.base import Objective, in_company
from retkd.objectives.chatbot_mix import ChatbotMix
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cosine import Cosine
from retkd.objectives.cprd import CPRD
from retkd.objectives.crd import CRD
from retkd.objectives.gradient import Gradient
from retkd.objectives.head import Head
from retkd.objectives.hidden_cosine import HiddenCosine
from retkd.objectives.icl import ICL
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.label_bce import LabelBCE
from retkd.objectives.lambda_loss import LambdaLoss
from retkd.objectives.language_consistency import LanguageConsistency
from retkd.objectives.layer_mse import LayerMSE
from retkd.objectives.lead import LEAD
from retkd.objectives.lelp import LELP
from retkd.objectives.list_mle import ListMLE
from retkd.objectives.m3_kd import M3KD
from retkd.objectives.margin_mse import MarginMSE
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.minilm_v2 import MiniLMv2
from retkd.objectives.mixup import Mixup
from retkd.objectives.mlm import MLM
from retkd.objectives.multi_scale import MultiScale
from retkd.objectives.ofa import OFA
from retkd.objectives.pld import PLD
from retkd.objectives.quality_mix import QualityMix
from retkd.objectives.quantised import Quantised
from retkd.objectives.ranknet import RankNet
from retkd.objectives.relation import Relation
from retkd.objectives.self_distillation import SelfDistillation
from retkd.objectives.several_teachers import ReinforcedKL, RoutedKL, WeightedKL
from retkd.objectives.sinkd import SinKD
from retkd.objectives.soft_ce import SoftCE
from retkd.objectives.sparsity import L1, Flops
from retkd.objectives.spread import Alignment, Uniformity
from retkd.objectives.taid import TAID
from retkd.objectives.ted import TED
from retkd.objectives.token_relations import TokenRelations
from retkd.objectives.translate_distill import TranslateDistill
from retkd.objectives.unic import UNIC
from retkd.objectives.vector_mse import VectorMSE
from retkd.objectives.virt import VIRT
from retkd.objectives.virt_cross import VIRTCross
from retkd.objectives.vkd import VKD
from retkd.objectives.wcord import WCoRD
from retkd.objectives.xded import XDED
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
    TAID,
    OFA,
    SinKD,
    Affinity,
    BCE,
    ScoreMSE,
    QualityMix,
    AgreementKL,
    XDED,
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
    Head,
    LEAD,
    MiniLMv2,
    HiddenCosine,
    LayerMSE,
    MultiScale,
    TED,
    TokenRelations,
    VIRT,
    VIRTCross,
    SelfDistillation,
    WeightedKL,
    RoutedKL,
    ReinforcedKL,
    TranslateDistill,
    LanguageConsistency,
    Flops,
    L1,
    LabelBCE,
    MLM,
)

AnyObjective: Any = one_of(OBJECTIVES)
for _wrapper in (Matryoshka, Quantised, Head):
    _wrapper.model_rebuild(_types_namespace={"AnyObjective": AnyObjective})

Objectives: Any = Annotated[list[AnyObjective], AfterValidator(in_company)]
"""The weighted terms of one training."""
