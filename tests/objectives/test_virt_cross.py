"""VIRT from a cross-encoder, on real passes: against the attentions of transformers' own model of the pairs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from retkd.batch import Batch
from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError, RecipeError
from retkd.layers import stack_shape
from retkd.matchers.cross_attention import CrossAttention
from retkd.matchers.pair_models import load_model, load_tokenizer
from retkd.objectives.base import Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.virt_cross import VIRTCross
from retkd.recipe import load
from retkd.stages.train import Config, run
from retkd.students.dense import Dense
from retkd.training import collator
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.layer_teachers import stack_of
from retkd.training.teaching import HEADS, save_scorer
from tests.conftest import MakeInputs
from tests.distilling import examples
from tests.faults import trained_in_two_sittings
from tests.recipes import written
from tests.test_shapes import base, error_of
from tests.tiny import WORDS, tiny_cross_encoder, tiny_encoder

M = {"model": "cross"}


@pytest.fixture(scope="module")
def cross(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three layers of width 48, with the student's tokeniser."""
    return tiny_cross_encoder(tmp_path_factory.mktemp("cross") / "teacher", seed=9, layers=3, dim=48)


@pytest.fixture
def student(encoder_folder: Path) -> Encoder:
    return Dense(base="base", dropout=0.0).build(encoder_folder, "cpu")


def attention(folder: Path) -> CrossAttention:
    model = load_model(folder, "cpu")
    return CrossAttention(model, load_tokenizer(folder, model))


def module(student: Encoder, teacher: CrossAttention, term: VIRTCross) -> DistilledEncoder:
    stacks = stack_of(student, "student"), {"cross": stack_shape(teacher.body)}
    return DistilledEncoder(student, [term], Training(student.dim, {}, 10, 7, *stacks, {"cross": teacher}))


def expected(student: Encoder, folder: Path, term: VIRTCross, lists: Any) -> float:
    """Pair by pair and text by text, by transformers alone: its own tokens of a pair, its own hidden states."""
    pairs = {"last": [(2, 3)], "uniform": [(1, 2), (2, 3)]}.get(str(term.layers), term.layers)
    model = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    tokenizer, values = AutoTokenizer.from_pretrained(folder), []
    transformer = student.model[0].auto_model
    for example in lists:
        for text in example.documents:
            told = tokenizer(example.query, text, return_tensors="pt", truncation="only_second")
            place = [[at for at, t in enumerate(told.sequence_ids(0)) if t == which] for which in (0, 1)]
            with torch.no_grad():
                attentions = model(**told, output_attentions=True).attentions
                own = [
                    transformer(**tokenizer(each, return_tensors="pt"), output_hidden_states=True).hidden_states
                    for each in (example.query, text)
                ]
            for one, other in pairs:
                mean = attentions[other - 1][0].mean(dim=0)
                query, document = (states[one][0, 1:-1][: len(at)] for states, at in zip(own, place, strict=True))
                ways = [(mean[place[0]][:, place[1]], query @ document.T)]
                ways += [(mean[place[1]][:, place[0]], document @ query.T)] if term.both_ways else []
                for shares, products in ways:
                    taught = shares / shares.sum(dim=1, keepdim=True)
                    found = (products / query.shape[-1] ** 0.5).softmax(dim=1)
                    squared = ((found - taught) ** 2).sum()
                    nats = (taught * (taught / found).log()).sum(dim=1).mean()
                    values.append((squared if term.difference == "squared" else nats) / len(pairs))
    return float(sum(values)) / sum(len(example.documents) for example in lists)


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"difference": "kl", "both_ways": True},
        {"layers": "uniform"},
        {"layers": [(0, 1), (2, 1)], "both_ways": True},
    ],
)
def test_the_value_is_that_of_transformers_own_attentions(told: Any, student: Encoder, cross: Path) -> None:
    """Also however the documents are cut into chunks."""
    term, lists = VIRTCross(**told, **M), examples(6)
    model, batch = module(student, attention(cross), term), Collator(student)(lists)["batch"]
    assert len(batch.documents) > 1
    found = model(batch)["virt_cross"]
    assert found.item() == pytest.approx(expected(student, cross, term, lists), rel=1e-4)
    assert found.item() > 0


def test_a_cross_encoder_with_a_head_over_segments_teaches_by_its_transformer(student: Encoder, tmp_path: Path) -> None:
    """As `teach` publishes one with `head: segments`; the expected attentions are of the transformer in its folder."""
    load_head, kind = HEADS["segments"]
    folder = tiny_encoder(tmp_path / "encoder", seed=9, layers=3, dim=48)
    save_scorer(kind(load_head(folder), AutoTokenizer.from_pretrained(folder), 64, 16), tmp_path / "segments")
    term, lists = VIRTCross(**M), examples(6)
    found = module(student, attention(tmp_path / "segments"), term)(Collator(student)(lists)["batch"])["loss"]
    assert found.item() == pytest.approx(expected(student, tmp_path / "segments", term, lists), rel=1e-4)


def test_it_moves_the_student_and_not_the_cross_encoder(student: Encoder, cross: Path) -> None:
    teacher = attention(cross)
    model = module(student, teacher, VIRTCross(**M))
    batch = Collator(student)(examples(6))["batch"]
    model(batch)["loss"].backward()
    moved = [p.grad for p in student.model.parameters() if p.grad is not None]
    assert sum(float(grad.abs().sum()) for grad in moved) > 0
    assert all(p.grad is None for p in teacher.body.parameters())
    assert not teacher.body.training
    assert model.train().state_dict().keys() == DistilledEncoder(student, []).state_dict().keys()


def test_how_pairs_are_cut_into_passes_changes_nothing(
    student: Encoder, cross: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from retkd.matchers import cross_attention

    term, found = VIRTCross(both_ways=True, **M), []
    for size, budget in ((3, 40), (100, 200), (5, 10_000)):
        cut = lambda lengths, *a, size=size: [(i, min(i + size, len(lengths))) for i in range(0, len(lengths), size)]  # noqa: E731
        monkeypatch.setattr(collator, "chunks", cut)
        monkeypatch.setattr(cross_attention, "default_tokens_per_batch", lambda device, budget=budget: budget)
        found.append(module(student, attention(cross), term)(Collator(student)(examples(6))["batch"])["loss"].item())
    assert found == pytest.approx([found[0]] * 3, rel=1e-4)


def test_states_of_markers_and_of_padding_have_no_say(student: Encoder, cross: Path) -> None:
    teacher, batch = attention(cross), Collator(student)(examples(6))["batch"]
    model = module(student, teacher, VIRTCross(both_ways=True, **M))
    term = model.objective.reading[0]
    scored = replace(model.score(batch), parts={})
    texts = [batch.queries, *batch.documents]
    parts = [[torch.randn(*each["input_ids"].shape, 32)] for each in texts]
    other = [
        [torch.where(teacher.content(each)[..., None], states[0], torch.full_like(states[0], 7.0))]
        for each, states in zip(texts, parts, strict=True)
    ]
    values = [term.objective.value(each, scored, term).item() for each in (parts, other)]
    assert values[0] == values[1]
    other[0][0][:, 1] += 1.0
    assert term.objective.value(other, scored, term).item() != pytest.approx(values[0], rel=1e-3)


def test_rows_are_distributions_over_what_was_read(student: Encoder, cross: Path) -> None:
    batch = Collator(student)(examples(6))["batch"]
    maps = attention(cross).maps(*_pairs(batch), [1, 3])
    for rows, columns, found in (
        (maps.query_mask, maps.document_mask, maps.forth),
        (maps.document_mask, maps.query_mask, maps.back),
    ):
        assert len(found) == 2
        for each in found:
            shares = each.exp()
            assert torch.allclose(shares.sum(dim=2)[rows], torch.ones(()))
            assert not shares.masked_select(~columns[:, None].expand_as(shares)).any()


def _pairs(batch: Batch) -> Any:
    """Query n with document n of the first chunk."""
    count = min(len(batch.queries["input_ids"]), len(batch.documents[0]["input_ids"]))
    return tuple({n: column[:count] for n, column in each.items()} for each in (batch.queries, batch.documents[0]))


def test_what_the_cross_encoder_cuts_counts_on_neither_side(student: Encoder, tmp_path: Path) -> None:
    """It reads 12 tokens: 3 markers, a query of 3 words, 6 tokens of a document; transformers cuts the pair there too."""
    short = tiny_cross_encoder(tmp_path / "short", seed=9, layers=3, dim=48, max_length=12)
    term, lists = VIRTCross(**M), examples(6)
    batch = Collator(student)(lists)["batch"]
    model = module(student, attention(short), term)
    cut = sum(
        int(model.objective.reading[0].about.pair_teachers["cross"].content(d).sum(dim=1).gt(6).sum())
        for d in batch.documents
    )
    assert cut > 0
    assert model(batch)["loss"].item() == pytest.approx(expected(student, short, term, lists), rel=1e-4)


def test_a_query_that_alone_is_too_long_leaves_room_for_a_token_of_the_document(
    student: Encoder, tmp_path: Path
) -> None:
    short = attention(tiny_cross_encoder(tmp_path / "short", max_length=12))
    texts = [student.features(student.tokenize([" ".join(WORDS[:n])], "query"), "query") for n in (20, 5)]
    maps = short.maps(*texts, [1])
    assert (int(maps.query_mask.sum()), int(maps.document_mask.sum())) == (8, 1)


def test_a_pair_without_tokens_is_left_out(student: Encoder, cross: Path) -> None:
    lists = examples(6)
    empty = replace(
        lists[0],
        doc_ids=(*lists[0].doc_ids, "empty"),
        documents=(*lists[0].documents, ""),
        relevance=(*lists[0].relevance, 0),
        teachers={"ce": (*lists[0].teachers["ce"], 0.0)},
    )
    term = VIRTCross(**M)
    loss = module(student, attention(cross), term)(Collator(student)([empty, *lists[1:]])["batch"])["loss"]
    assert loss.item() == pytest.approx(expected(student, cross, term, lists), rel=1e-4)


CONFIG: dict[str, Any] = {
    "candidates": "score",
    "batch_queries": 4,
    "learning_rate": 1e-3,
    "warmup_steps": 0,
    "save_every": 2,
    "steps": 6,
}


def test_a_stage_goes_on_to_the_same_bytes_and_its_maps_come_nearer(
    inputs: MakeInputs, scored: Path, encoder_folder: Path, cross: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = Config(student=Dense(base="base"), objective=[VIRTCross(**M), InfoNCE(weight=0.1)], **CONFIG)
    ready = inputs({"score": scored}, {"base": encoder_folder, "cross": cross})
    trained_in_two_sittings(told, ready, tmp_path, monkeypatch)
    trace = [json.loads(line) for line in (tmp_path / "out" / "trace.jsonl").read_text().splitlines()]
    assert trace[-1]["virt_cross"] < trace[0]["virt_cross"]
    assert not (ready.store / "vectors").exists()


def refused(inputs: MakeInputs, scored: Path, out: Path, student: Any, **models: Path) -> str:
    config = Config(student=student, objective=[VIRTCross(**M)], **CONFIG)
    with pytest.raises(ModelError) as error:
        run(config, inputs({"score": scored}, models), out)
    assert not (out / "work").exists()
    return str(error.value)


def test_other_tokens_and_prompts_are_refused_before_any_step(
    inputs: MakeInputs, scored: Path, encoder_folder: Path, cross: Path, tmp_path: Path
) -> None:
    other = tiny_cross_encoder(tmp_path / "other", words=WORDS[:50])
    told = refused(inputs, scored, tmp_path / "out", Dense(base="base"), base=encoder_folder, cross=other)
    assert told.startswith(
        "student and teacher read different tokens, so their layers cannot be compared token by token\n"
    )
    assert "where: the teacher cross\n" in told
    prompted = Dense(base="base", prompts={"query": "q: "})
    assert refused(inputs, scored, tmp_path / "out", prompted, base=encoder_folder, cross=cross) == (
        "a term compares the tokens of query and document, and a prompt would be among them\n"
        "  where: the teacher cross\n"
        "  seen: prompts of the student ['q: ']\n"
        "  allowed: a student and a cross-encoder without prompts\n"
        "  next step: learn from the cross-encoder's scores (kl), or set the student's `prompts: {}`"
    )
    bare = tiny_encoder(tmp_path / "bare")
    told = refused(inputs, scored, tmp_path / "out", Dense(base="base"), base=encoder_folder, cross=bare)
    assert "next step: choose a re-ranker" in told


def test_a_model_whose_queries_do_not_see_the_document(cross: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(cross, is_decoder=True)
    with pytest.raises(ModelError, match="a query's tokens do not see the document in this cross-encoder"):
        CrossAttention(model.eval(), AutoTokenizer.from_pretrained(cross))


def test_layers_are_checked_when_the_recipe_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="layer 0, has no attention: the teacher's layers count from 1"):
        VIRTCross(layers=[(1, 0)], **M)
    path, own = written(tmp_path), base(tmp_path / "base")
    base(tmp_path / "cross", num_hidden_layers=6)

    def objective(model: object) -> str:
        return f"stages.train.objective=[{{kind: infonce}}, {{kind: virt_cross, layers: [[2, 7]], model: {model}}}]"

    told = error_of(path, own, objective(tmp_path / "cross"))
    assert f"seen: [7] of the teacher {tmp_path / 'cross'}\n      allowed: 0 to 6 " in told
    with pytest.raises(RecipeError, match="there is no stage and no folder 'partner'"):
        load(path, [own, objective("partner")])
