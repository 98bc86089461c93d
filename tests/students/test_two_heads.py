"""The student with two heads (METHODS, DHO): what is published, which term trains which head, what it goes with."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.encoders.two_heads import TwoHeadedEncoder, views
from retkd.exporters.onnx import Onnx
from retkd.heads import HEADS, HeadName
from retkd.objectives.base import Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cosine import Cosine
from retkd.objectives.head import Head, head_of
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.quantised import Quantised
from retkd.objectives.spread import Uniformity
from retkd.objectives.unic import UNIC
from retkd.recipe import load
from retkd.stage import Inputs, Model, Runtime
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from retkd.students.lora import Lora
from retkd.students.two_heads import TwoHeads
from retkd.training.collator import Collator
from retkd.training.head_distillation import DistilledHeads
from retkd.training.partners import EncoderPartner
from retkd.training.passes import Passes
from tests.conftest import MakeInputs
from tests.distilling import OBJECTIVE, examples
from tests.faults import trained_in_two_sittings
from tests.recipes import TEXT, written

TEXTS = ["baco difun fuga", "gale"]
SHARES = [0.0, 0.3, 1.0]


def built(folder: Path, share: float = 0.3, **fields: Any) -> TwoHeadedEncoder:
    """A student whose heads are as if trained: of different lengths."""
    encoder = TwoHeads(**{"base": "base", "layers": [1], "dropout": 0.0, "share": share, **fields}).build(folder, "cpu")
    for seed, linear in enumerate(linears(encoder).values()):
        torch.nn.init.normal_(linear.weight, std=0.2 + 0.2 * seed, generator=torch.Generator().manual_seed(seed))
        torch.nn.init.normal_(linear.bias, std=0.1, generator=torch.Generator().manual_seed(seed + 2))
    return encoder


def linears(encoder: TwoHeadedEncoder) -> dict[HeadName, Any]:
    return dict(zip(HEADS, (module.linear for module in list(encoder.model)[2:]), strict=True))


def of_heads(encoder: TwoHeadedEncoder, texts: list[str]) -> dict[HeadName, np.ndarray]:
    """What the terms of each head see."""
    model = DistilledHeads(encoder, OBJECTIVE)
    with torch.no_grad():
        found = encoder.views(model.vectors(encoder.features(encoder.tokenize(texts, "document"), "document")))
    return {name: vectors.numpy() for name, vectors in found.items()}


def batch_of(encoder: Encoder) -> Batch:
    return Collator(encoder)(examples(6))["batch"]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("share", SHARES)
def test_the_published_score_is_the_shared_sum_of_the_heads_scores(
    encoder_folder: Path, tmp_path: Path, share: float, normalize: bool
) -> None:
    """METHODS: concatenated dot = a s_l + (1 - a) s_t, also by the folder that sentence-transformers loads."""
    from sentence_transformers import SentenceTransformer

    encoder = built(encoder_folder, share, normalize=normalize)
    scores = {name: vectors @ vectors.T for name, vectors in of_heads(encoder, TEXTS).items()}
    expected = share * scores["labels"] + (1 - share) * scores["teacher"]
    assert np.abs(scores["labels"] - scores["teacher"]).max() > 0.01
    trained = encoder.encode(TEXTS, "document")
    assert np.allclose(trained @ trained.T, expected, atol=1e-5)
    encoder.save(tmp_path / "model")
    published = SentenceTransformer(str(tmp_path / "model"), device="cpu").encode_document(TEXTS)
    assert np.allclose(published, trained, atol=1e-5)
    if normalize:
        assert np.allclose(np.linalg.norm(published, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(("share", "name"), [(1.0, "labels"), (0.0, "teacher")])
def test_the_shares_0_and_1_are_one_head_alone(encoder_folder: Path, share: float, name: HeadName) -> None:
    """METHODS: a = 1 or 0 recovers single heads. The other is not published."""
    encoder = built(encoder_folder, share)
    assert (encoder.dim, encoder.plain().dim) == (32, 32)
    assert np.allclose(encoder.encode(TEXTS, "document"), of_heads(encoder, TEXTS)[name], atol=1e-6)
    with torch.no_grad():
        pooled = encoder.model(encoder.features(encoder.tokenize(TEXTS, "document"), "document"))["sentence_embedding"]
        alone = torch.nn.functional.normalize(linears(encoder)[name](pooled), dim=1).numpy()
    assert np.allclose(encoder.encode(TEXTS, "document"), alone, atol=1e-6)
    for vectors in of_heads(encoder, TEXTS).values():
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_heads_begin_as_the_identity(encoder_folder: Path) -> None:
    """Untrained it ranks as the dense student does, which is why that one is its control without training."""
    encoder = TwoHeads(base="base", layers=[1], share=0.3).build(encoder_folder, "cpu")
    two, one = encoder.encode(TEXTS, "document"), Dense(base="base", layers=[1]).build(encoder_folder, "cpu")
    plain = one.encode(TEXTS, "document")
    assert two.shape == (2, 64)
    assert np.allclose(two @ two.T, plain @ plain.T, atol=1e-6)


def test_what_is_published_is_a_plain_folder(encoder_folder: Path, tmp_path: Path) -> None:
    encoder = built(encoder_folder, prompts={"query": "ask: ", "document": ""})
    encoder.save(tmp_path / "model")
    told = [module["type"] for module in json.loads((tmp_path / "model" / "modules.json").read_text())]
    assert [name.rpartition(".")[2] for name in told] == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert all(name.startswith("sentence_transformers.") for name in told)
    published = Encoder.load(tmp_path / "model")
    assert published.dim == encoder.dim == 64
    assert published.num_parameters == encoder.num_parameters
    assert np.allclose(published.encode(TEXTS, "query"), encoder.encode(TEXTS, "query"), atol=1e-6)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_it_exports_to_onnx(encoder_folder: Path, tmp_path: Path, share: float) -> None:
    encoder = built(encoder_folder, share=share)
    encoder.save(tmp_path / "model")
    inputs = Inputs(None, {}, models={}, manifests={}, seed=13, runtime=Runtime(threads=1), store=tmp_path, key="k")
    served = Onnx().write(Model("student", tmp_path / "model", "digest"), tmp_path / "onnx", inputs)
    assert np.allclose(served.encode(TEXTS, "document"), encoder.encode(TEXTS, "document"), atol=1e-5)


def test_the_shared_length_by_hand() -> None:
    """sqrt(0.36 x 5^2 + 0.64 x 10^2) = sqrt(73): 3 / 8.544 and so on."""
    raw: dict[HeadName, torch.Tensor] = {"labels": torch.tensor([[3.0, 4.0]]), "teacher": torch.tensor([[0.0, 10.0]])}
    found = views(raw, {"labels": 0.36, "teacher": 0.64})
    assert found["labels"][0].tolist() == pytest.approx([0.351123, 0.468165], abs=1e-6)
    assert found["teacher"][0].tolist() == pytest.approx([0.0, 1.170411], abs=1e-6)
    joined = torch.cat([0.6 * found["labels"], 0.8 * found["teacher"]], dim=1)
    assert joined.norm().item() == pytest.approx(1.0)


def test_the_gradient_is_that_with_the_other_heads_length_held() -> None:
    own, other = (torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    held = other.square().sum(dim=1, keepdim=True)

    def of_views(vectors: torch.Tensor) -> torch.Tensor:
        return views({"labels": vectors, "teacher": other}, {"labels": 0.3, "teacher": 0.7})["labels"]

    def by_hand(vectors: torch.Tensor) -> torch.Tensor:
        return vectors / (0.3 * vectors.square().sum(dim=1, keepdim=True) + 0.7 * held).sqrt()

    assert torch.autograd.gradcheck(of_views, own.requires_grad_())
    assert torch.allclose(of_views(own), by_hand(own))


def test_a_text_without_a_vector_has_no_gradient_that_is_no_number() -> None:
    raw: dict[HeadName, torch.Tensor] = {name: torch.zeros(1, 2, requires_grad=True) for name in HEADS}
    found = views(raw, {"labels": 0.5, "teacher": 0.5})["labels"]
    found.sum().backward()
    assert found.tolist() == [[0.0, 0.0]]
    assert torch.isfinite(raw["labels"].grad).all()  # type: ignore[arg-type]


@pytest.mark.parametrize("share", SHARES)
@pytest.mark.parametrize(
    ("term", "name"),
    [
        (InfoNCE(), "labels"),
        (Uniformity(), "labels"),
        (KL(teacher="ce"), "teacher"),
        (Quantised(terms=[KL(teacher="ce")]), "teacher"),
        (Head(head="teacher", terms=[InfoNCE()]), "teacher"),
        (Head(head="labels", terms=[KL(teacher="ce"), InfoNCE()]), "labels"),
    ],
    ids=["infonce", "uniformity", "kl", "quantised", "head teacher", "head labels"],
)
def test_a_term_gives_no_gradient_to_the_other_head(
    encoder_folder: Path, share: float, term: Any, name: HeadName
) -> None:
    encoder = built(encoder_folder, share)
    DistilledHeads(encoder, [term])(batch_of(encoder))["loss"].backward()
    touched = {
        each: any(p.grad is not None and bool((p.grad != 0).any()) for p in linear.parameters())
        for each, linear in linears(encoder).items()
    }
    assert touched == {each: each == name for each in HEADS}
    assert any(bool((p.grad != 0).any()) for p in encoder.model[0].parameters() if p.grad is not None)


def test_each_term_has_the_value_of_a_student_of_that_head_alone(encoder_folder: Path) -> None:
    """At the share 1 or 0 a head's scores are cosines, as of a dense student; the loss is the weighted sum."""
    from retkd.training.distillation import DistilledEncoder

    both = built(encoder_folder, 1.0)
    found = DistilledHeads(both, OBJECTIVE)(batch_of(both))
    labels = DistilledEncoder(built(encoder_folder, 1.0).plain(), OBJECTIVE)(batch_of(both))
    teacher = DistilledEncoder(built(encoder_folder, 0.0).plain(), OBJECTIVE)(batch_of(both))
    assert found["infonce"].item() == pytest.approx(labels["infonce"].item(), rel=1e-5)
    assert found["kl"].item() == pytest.approx(teacher["kl"].item(), rel=1e-5)
    assert found["kl"].item() != pytest.approx(labels["kl"].item(), rel=1e-3)
    assert found["loss"].item() == pytest.approx(found["kl"].item() + 0.5 * found["infonce"].item(), rel=1e-6)


def test_one_pass_at_a_time_gives_the_same_gradient(encoder_folder: Path) -> None:
    gradients = []
    for passes in (None, Passes(grad_cache=True, most_tokens=32)):
        encoder = built(encoder_folder)
        DistilledHeads(encoder, OBJECTIVE, passes=passes)(batch_of(encoder))["loss"].backward()
        gradients.append([linear.weight.grad for linear in linears(encoder).values()])
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(*gradients, strict=True))


def test_a_projector_is_as_wide_as_a_head(encoder_folder: Path) -> None:
    told = Training(student_dim=64, teacher_dims={"wide": 48})
    model = DistilledHeads(built(encoder_folder), [Cosine(model="wide", projector="linear")], told)
    assert [tuple(p.shape) for p in model.objective.parameters()] == [(48, 32)]


@pytest.mark.parametrize(
    ("term", "name"),
    [
        (InfoNCE(), "labels"),
        (KL(teacher="ce"), "teacher"),
        (InBatchKL(model="m"), "teacher"),
        (UNIC(models=["m"]), "teacher"),
        (Quantised(terms=[InfoNCE(), Uniformity()]), "labels"),
        (Quantised(terms=[InfoNCE(), KL(teacher="ce")]), None),
        (Head(head="labels", terms=[KL(teacher="ce")]), "labels"),
    ],
    ids=lambda value: getattr(value, "kind", value),
)
def test_which_head_a_term_reads(term: Any, name: HeadName | None) -> None:
    assert head_of(term) == name


TERMS = [KL(teacher="bm"), InfoNCE(weight=0.5)]


def config(**changed: Any) -> Config:
    told = {"steps": 6, "save_every": 2, "batch_queries": 4, "learning_rate": 1e-2, "warmup_steps": 0}
    student = TwoHeads(base="base", layers=[1], share=0.3)
    return Config(**{"candidates": "score", "student": student, "objective": TERMS, **told, **changed})


@pytest.mark.parametrize("share", [0.3, 1.0])
def test_stopped_and_run_again_a_training_gives_the_same_bytes(
    inputs: MakeInputs,
    scored: Path,
    encoder_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
) -> None:
    """With looks at dev, by the vectors that are published."""
    ready = inputs({"score": scored}, {"base": encoder_folder})
    told = config(student=TwoHeads(base="base", layers=[1], share=share), evaluate_every=2, keep="best")
    metrics = trained_in_two_sittings(told, ready, tmp_path, monkeypatch)
    student = Encoder.load(tmp_path / "out" / "model")
    described = json.loads((tmp_path / "out" / "student.json").read_text())
    assert described["parameters"] == metrics.values["parameters"] == student.num_parameters
    assert described["dim"] == student.dim == (32 if share == 1.0 else 64)
    steps = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert {"kl", "infonce"} <= steps[0].keys()
    weights = list(student.model)[2].linear.weight.detach()
    assert not torch.allclose(weights[:32] / share**0.5, torch.eye(32), atol=1e-3)


def test_without_steps_it_is_published_as_initialised(
    inputs: MakeInputs, scored: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    run(config(steps=0, objective=[InfoNCE()]), inputs({"score": scored}, {"base": encoder_folder}), tmp_path / "out")
    found = Encoder.load(tmp_path / "out" / "model").encode(TEXTS, "document")
    expected = TwoHeads(base="base", layers=[1], share=0.3).build(encoder_folder, "cpu").encode(TEXTS, "document")
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("share", [-0.1, 1.5])
def test_a_share_is_one(share: float) -> None:
    with pytest.raises(ValidationError, match=r"share\n  Input should be (greater|less) than or equal to [01]"):
        TwoHeads(base="base", share=share)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"objective": [InfoNCE()]},
            "no term reads the head 'teacher', which would learn nothing: add one that reads a teacher, or use a student of "
            "kind dense",
        ),
        ({"objective": [KL(teacher="bm")]}, "no term reads the head 'labels', .* add one that reads labels"),
        (
            {"objective": [*TERMS, Quantised(terms=TERMS)]},
            "the terms inside quantised read labels and a teacher, and so both heads: write a quantised for each, or name one, "
            "{kind: head, head: labels, terms: \\[{kind: quantised, ...}\\]}",
        ),
        (
            {"objective": [*TERMS, Head(head="labels", terms=[Matryoshka(dims=[8], terms=[InfoNCE()])])]},
            "matryoshka trains vectors to be cut, and of two heads' vector a cut would leave the second one out",
        ),
        (
            {"student": Dense(base="base"), "objective": [Head(head="labels", terms=[InfoNCE()])]},
            "the objective head names a head: use a student of kind two_heads, or put its terms in its place",
        ),
        (
            {"student": TwoHeads(base="base", share=0.5, adaptation=Lora())},
            "the adaptation lora goes with a dense student that is trained alone",
        ),
        (
            {"co_train": {"kind": "cross_encoder", "base": "c", "objective": [InfoNCE(in_batch=False)]}},
            "`co_train` teaches a dense student with one exit and no heads of its own",
        ),
    ],
)
def test_what_a_stage_may_not_combine(fields: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        config(**fields)


def test_terms_of_what_has_no_head_name_none() -> None:
    with pytest.raises(ValidationError, match="head stands outside: put this term inside it"):
        Quantised(terms=[Head(head="labels", terms=[InfoNCE()])])
    with pytest.raises(
        ValidationError, match="the objective head names a head of a student with two, and a partner has"
    ):
        EncoderPartner(encoder=Dense(base="b"), objective=[Head(head="labels", terms=[InfoNCE()])])
    with pytest.raises(ValidationError, match="Input should be 'labels' or 'teacher'"):
        Head(head="both", terms=[InfoNCE()])


def test_the_controls_are_those_of_the_dense_student(tmp_path: Path) -> None:
    """So that their stages have the same keys, and the contrastive one no head that nothing trained."""
    dense = load(written(tmp_path))
    headed = TEXT.replace("{kind: dense, base: /models/base, ", "{kind: two_heads, share: 0.5, base: /models/base, ")
    whole = load(written(tmp_path, headed))
    assert whole.stages["train"].student.kind == "two_heads"
    for control in ("zero_shot", "control"):
        assert whole.stages[control] == dense.stages[control]
