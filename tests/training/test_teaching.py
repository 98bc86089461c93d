"""What `teach` trains: batches of pairs and lists, a model with a new head, an objective, the rates of its parts."""

from pathlib import Path
from typing import Any

import pytest
import torch

from retkd.batch import Example
from retkd.errors import ModelError
from retkd.losses.contrastive import localised_contrastive
from retkd.losses.pairwise import ranknet
from retkd.matchers.cross_encoder import PairScorer
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.ranknet import RankNet
from retkd.stages.teach import Config
from retkd.training.teaching import PairCollator, TaughtModel, collator, new_scorer, optimizer
from tests.tiny import WORDS

LONG, MIDDLE = " ".join(WORDS[:30]), " ".join(WORDS[5:17])
EXAMPLES = [
    Example("a", "baco", ("1", "2", "3"), (LONG, "fuga", "lemi"), (0, 1, 0), {"t": (3.0, 1.0, 2.0)}, frozenset("2")),
    Example("b", "difu gale", ("2", "4"), ("fuga", MIDDLE), (1, 2), {"t": (0.0, 0.5)}, frozenset("24")),
    *(
        Example(
            query_id=f"c{i}",
            query=WORDS[i],
            doc_ids=(f"5{i}", "6"),
            documents=(" ".join(WORDS[i : 2 * i]), "ruse"),
            relevance=(1, 0),
            teachers={"t": (0.0, float(i))},
            all_positives=frozenset([f"5{i}"]),
        )
        for i in range(3, 12)
    ),
]


def config(**changes: Any) -> Config:
    return Config(candidates="mine", base="base", max_length=40, query_max_length=10, **changes)


HEADS = ("classifier", "segments", "uni", "beca")


@pytest.mark.parametrize(
    "told", [*({"head": head} for head in HEADS), {"head": "uni", "mask": "arrow", "candidates_per_pass": 2}]
)
def test_a_batch_scores_as_its_lists_do_alone(encoder_folder: Path, told: dict[str, Any]) -> None:
    """And the loss is that of these scores."""
    torch.manual_seed(0)
    objective = [InfoNCE(temperature=1.0, in_batch=False, weight=2.0), RankNet(teacher="t", student_scale=1.0)]
    scorer = new_scorer(encoder_folder, "cpu", config(**told))
    model = TaughtModel(scorer, objective).eval()
    batch = collator(scorer, {})(EXAMPLES)["batch"]
    with torch.no_grad():
        scored, terms = model.scored(batch), model(batch)
    alone = torch.zeros(scored.own.shape)
    mask, positive = scored.batch.mask, scored.batch.positive
    teacher = torch.zeros(scored.own.shape)
    for q, example in enumerate(EXAMPLES):
        width = len(example.doc_ids)
        assert mask[q].tolist() == [True] * width + [False] * (3 - width)
        assert positive[q, :width].tolist() == [r > 0 for r in example.relevance]
        alone[q, :width] = torch.from_numpy(scorer.score([(example.query, text) for text in example.documents]))
        teacher[q, :width] = torch.tensor(example.teachers["t"])
    assert scored.own[mask].tolist() == pytest.approx(alone[mask].tolist(), abs=1e-5)
    assert scored.in_batch.shape == (len(EXAMPLES), 0)
    order = ranknet(alone, teacher, mask, top=None)
    contrastive = localised_contrastive(alone, positive, mask, temperature=1.0)
    assert terms["infonce"].item() == pytest.approx(contrastive.item(), abs=1e-5)
    assert terms["loss"].item() == pytest.approx((2 * contrastive + order).item(), abs=1e-4)


def test_a_batch_of_pairs_holds_each_pair_once_in_chunks(cross_encoder_folder: Path) -> None:
    batch = PairCollator(PairScorer.load(cross_encoder_folder, "cpu", 40, 10))(EXAMPLES)["batch"]
    assert len(batch.inputs) > 1
    assert sum(len(chunk["input_ids"]) for chunk in batch.inputs) == 3 + 2 + 2 * 9


def test_moving_a_batch_keeps_everything(cross_encoder_folder: Path) -> None:
    batch = PairCollator(PairScorer.load(cross_encoder_folder, "cpu", 40, 10))(EXAMPLES)["batch"]
    moved = batch.to("meta")
    assert [c["input_ids"].shape for c in moved.inputs] == [c["input_ids"].shape for c in batch.inputs]
    lists = moved.lists
    assert {t.device.type for t in (moved.place, lists.candidates, lists.mask, lists.teachers["t"])} == {"meta"}


def test_with_in_batch_terms_a_matcher_scores_every_pair_of_the_batch(encoder_folder: Path) -> None:
    scorer = new_scorer(encoder_folder, "cpu", config(head="beca"))
    batch = collator(scorer, {})(EXAMPLES)["batch"]
    scored = TaughtModel(scorer, [InfoNCE(temperature=1.0)]).scored(batch)
    assert scored.in_batch.shape == (len(EXAMPLES), len(batch.doc_ids))
    assert scored.in_batch.isfinite().all()


@pytest.mark.parametrize(("head", "part"), [("classifier", "classifier.weight"), ("beca", "compose.weight")])
def test_the_new_head_follows_the_seed(encoder_folder: Path, head: str, part: str) -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        scorer = new_scorer(encoder_folder, "cpu", config(head=head))
        assert scorer.tokenizer.model_max_length == 40
        return scorer.model.get_parameter(part).detach()

    assert torch.equal(weights(0), weights(0))
    assert not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("head", HEADS)
def test_a_base_with_this_head_goes_on_with_it(encoder_folder: Path, tmp_path: Path, head: str) -> None:
    torch.manual_seed(1)
    first = new_scorer(encoder_folder, "cpu", config(head=head))
    with torch.no_grad():
        for parameter in first.model.parameters():
            parameter.add_(0.01)
    first.model.save_pretrained(str(tmp_path))
    first.tokenizer.save_pretrained(str(tmp_path))
    torch.manual_seed(2)
    second = new_scorer(tmp_path, "cpu", config(head=head))
    for name, value in first.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name]), name


def test_a_base_with_two_labels_is_refused(cross_encoder_folder: Path, tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    told = AutoConfig.from_pretrained(cross_encoder_folder, num_labels=2)
    AutoModelForSequenceClassification.from_config(told).save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"a cross-encoder with one label\n  where: .*\n  seen: 2 labels\n"):
        new_scorer(tmp_path, "cpu", config())


@pytest.mark.parametrize(("frozen_layers", "frozen"), [(None, ()), (0, ("word_",)), (1, ("word_", "layer.0."))])
def test_frozen_layers_stay_as_they_are_with_the_word_embeddings(
    encoder_folder: Path, frozen_layers: int | None, frozen: tuple[str, ...]
) -> None:
    model = new_scorer(encoder_folder, "cpu", config(frozen_layers=frozen_layers)).model
    parameters = dict(model.named_parameters())
    assert all(any(part in name for name in parameters) for part in frozen)
    for name, parameter in parameters.items():
        assert parameter.requires_grad != any(part in name for part in frozen), name


def test_the_head_can_have_a_rate_of_its_own(encoder_folder: Path) -> None:
    told = config(head_learning_rate=0.01, learning_rate=0.001, frozen_layers=1)
    model = TaughtModel(new_scorer(encoder_folder, "cpu", told), told.objective)
    found = optimizer(model, told)
    assert found is not None
    rates = {id(p): group["lr"] for group in found.param_groups for p in group["params"]}
    named = {name: rates.get(id(p)) for name, p in model.model.named_parameters()}
    assert {rate for name, rate in named.items() if "classifier" in name or "pooler" in name} == {0.01}
    assert {rate for name, rate in named.items() if "layer.1." in name} == {0.001}
    assert {rate for name, rate in named.items() if "layer.0." in name or "word_embeddings" in name} == {None}
    assert optimizer(model, config()) is None
