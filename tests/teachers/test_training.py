"""What `teach` trains: batches of pairs, a model with a new head, the rates of its parts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from retkd.batch import Example
from retkd.cross_encoder import PairScorer
from retkd.losses.listwise import localised_contrastive
from retkd.stages.teach import Config
from retkd.teachers.training import CrossEncoderModel, PairCollator, new_cross_encoder, optimizer
from tests.tiny import WORDS

EXAMPLES = [
    Example("a", "baco", ("1", "2", "3"), (" ".join(WORDS[:30]), "fuga", "lemi nopa"), (0, 1, 0), {}, frozenset("2")),
    Example("b", "difu gale", ("2", "4"), ("fuga", " ".join(WORDS[5:17])), (1, 2), {}, frozenset("24")),
    *(
        Example(f"c{i}", WORDS[i], ("5", "6"), (" ".join(WORDS[i : 2 * i]), "ruse"), (1, 0), {}, frozenset("5"))
        for i in range(3, 12)
    ),
]


def config(**changes: Any) -> Config:
    return Config(candidates="mine", base="base", max_length=40, query_max_length=10, **changes)


def test_a_batch_scores_as_its_pairs_do_alone(cross_encoder_folder: Path) -> None:
    scorer = PairScorer.load(cross_encoder_folder, "cpu", 40, 10)
    batch = PairCollator(scorer)(EXAMPLES)["batch"]
    assert len(batch.pairs) > 1
    assert sum(len(chunk["input_ids"]) for chunk in batch.pairs) == 3 + 2 + 2 * 9
    alone = torch.zeros(batch.mask.shape)
    for q, example in enumerate(EXAMPLES):
        width = len(example.doc_ids)
        assert batch.mask[q].tolist() == [True] * width + [False] * (3 - width)
        assert batch.positive[q, :width].tolist() == [r > 0 for r in example.relevance]
        alone[q, :width] = torch.tensor([scorer.score([(example.query, text)])[0] for text in example.documents])
    with torch.no_grad():
        loss = CrossEncoderModel(scorer.model)(batch)["loss"]
    assert loss.item() == pytest.approx(localised_contrastive(alone, batch.positive, batch.mask).item(), abs=1e-5)


def test_moving_a_batch_keeps_everything(cross_encoder_folder: Path) -> None:
    batch = PairCollator(PairScorer.load(cross_encoder_folder, "cpu", 40, 10))(EXAMPLES)["batch"]
    moved = batch.to("meta")
    assert [c["input_ids"].shape for c in moved.pairs] == [c["input_ids"].shape for c in batch.pairs]
    assert {t.device.type for t in (moved.candidates, moved.mask, moved.positive)} == {"meta"}


def test_the_new_head_gives_one_score_and_follows_the_seed(encoder_folder: Path) -> None:
    def head(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        scorer = new_cross_encoder(encoder_folder, "cpu", config())
        assert scorer.model.config.num_labels == 1
        assert scorer.tokenizer.model_max_length == 40
        return scorer.model.classifier.weight.detach()

    assert torch.equal(head(0), head(0))
    assert not torch.equal(head(0), head(1))


@pytest.mark.parametrize(("frozen_layers", "frozen"), [(None, ()), (0, ("word_",)), (1, ("word_", "layer.0."))])
def test_frozen_layers_stay_as_they_are_with_the_word_embeddings(
    encoder_folder: Path, frozen_layers: int | None, frozen: tuple[str, ...]
) -> None:
    model = new_cross_encoder(encoder_folder, "cpu", config(frozen_layers=frozen_layers)).model
    parameters = dict(model.named_parameters())
    assert all(any(part in name for name in parameters) for part in frozen)
    for name, parameter in parameters.items():
        assert parameter.requires_grad != any(part in name for part in frozen), name


def test_the_head_can_have_a_rate_of_its_own(encoder_folder: Path) -> None:
    told = config(head_learning_rate=0.01, learning_rate=0.001, frozen_layers=1)
    model = CrossEncoderModel(new_cross_encoder(encoder_folder, "cpu", told).model)
    found = optimizer(model, told)
    assert found is not None
    rates = {id(p): group["lr"] for group in found.param_groups for p in group["params"]}
    named = {name: rates.get(id(p)) for name, p in model.model.named_parameters()}
    assert {rate for name, rate in named.items() if "classifier" in name or "pooler" in name} == {0.01}
    assert {rate for name, rate in named.items() if "layer.1." in name} == {0.001}
    assert {rate for name, rate in named.items() if "layer.0." in name or "word_embeddings" in name} == {None}
    assert optimizer(model, config()) is None
