"""The term that masks words: its value against transformers' own, its draws, its gradient in one process and in several."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from retkd import processes
from retkd.batch import Batch
from retkd.errors import ModelError
from retkd.losses.words import KEPT
from retkd.objectives.base import Training
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.mlm import MLM
from retkd.students.dense import Dense
from retkd.training.collator import Collator
from retkd.training.distillation import DistilledEncoder
from retkd.training.passes import Passes
from retkd.training.words import MaskedWords, StudentWords, drawn
from tests.distilling import examples, student
from tests.tiny import tiny_word_encoder
from tests.together import together

STEPS = 10


@pytest.fixture(scope="module")
def word_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sentence-transformers folder whose transformer has a head for words."""
    return tiny_word_encoder(tmp_path_factory.mktemp("words") / "base")


def model_of(
    base: Path, how: Passes | None = None, *, layers: list[int] | None = None, dropout: float | None = 0.0, **told: Any
) -> DistilledEncoder:
    torch.manual_seed(0)
    encoder = Dense(base="base", layers=layers, dropout=dropout).build(base, "cpu")
    words = StudentWords(encoder, how or Passes(), base, "base")
    training = Training(encoder.dim, steps=STEPS, seed=3, words=words)
    return DistilledEncoder(encoder, [InfoNCE(), MLM(weight=2.0, **told)], training, passes=how)


def batch_of(base: Path, num_queries: int = 6) -> Batch:
    return Collator(student(base))(examples(num_queries))["batch"]


def term_of(model: DistilledEncoder) -> MaskedWords:
    (found,) = (each for each in model.objective.terms if isinstance(each, MaskedWords))
    return found


def read_as(term: MaskedWords, batch: Batch, step: int, sides: str = "both") -> Iterator[dict[str, Tensor]]:
    chunks = [("query", batch.queries), *(("document", chunk) for chunk in batch.documents)]
    for side, chunk in chunks:
        if sides in ("both", {"query": "queries", "document": "documents"}[side]):
            yield term.without_words(side, chunk, step)  # type: ignore[arg-type]


@pytest.mark.parametrize("sides", ["both", "queries", "documents"])
def test_the_value_is_that_of_transformers_on_what_was_read(word_base: Path, sides: str) -> None:
    """Mean over all masked words of the batch, under the head of the base."""
    from transformers import AutoModelForMaskedLM

    model, batch = model_of(word_base, sides=sides, share=0.7).eval(), batch_of(word_base)
    peer: Any = AutoModelForMaskedLM.from_pretrained(word_base).eval()
    losses = []
    for chunk in read_as(term_of(model), batch, 4, sides):
        logits = peer(input_ids=chunk["input_ids"], attention_mask=chunk["attention_mask"]).logits
        wanted = chunk["wanted"] != KEPT
        losses.append(torch.nn.functional.cross_entropy(logits[wanted], chunk["wanted"][wanted], reduction="none"))
    told = model(batch, progress=4 / STEPS)
    assert told["mlm"].item() == pytest.approx(torch.cat(losses).mean().item(), abs=1e-5)
    assert len(torch.cat(losses)) > 5
    assert told["loss"].item() == pytest.approx((told["infonce"] + 2 * told["mlm"]).item(), abs=1e-5)


def test_special_tokens_and_padding_are_never_masked(word_base: Path) -> None:
    model, batch = model_of(word_base, share=0.9), batch_of(word_base)
    tokenizer = model.source.model.tokenizer
    original = [batch.queries, *batch.documents]
    for before, chunk in zip(original, read_as(term_of(model), batch, 0), strict=True):
        special = torch.isin(before["input_ids"], torch.tensor(tokenizer.all_special_ids))
        assert (chunk["wanted"][special] == KEPT).all()
        assert torch.equal(chunk["input_ids"][special], before["input_ids"][special])
        open_ = ~special
        assert (chunk["wanted"][open_] != KEPT).float().mean() > 0.7
        wanted = chunk["wanted"] != KEPT
        assert torch.equal(chunk["wanted"][wanted], before["input_ids"][wanted])
        assert (chunk["input_ids"] == tokenizer.mask_token_id).any()


def test_draws_depend_on_seed_step_and_the_text_alone() -> None:
    ids, attention = torch.tensor([[5, 6, 7], [8, 9, 0]]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    draws, others = drawn(ids, attention, 50, (3, 4))
    longer = torch.nn.functional.pad(ids.flip(0), (0, 2))
    again, same = drawn(longer, torch.nn.functional.pad(attention.flip(0), (0, 2)), 50, (3, 4))
    assert torch.equal(again[0, :2], draws[1, :2])
    assert torch.equal(again[1, :3], draws[0])
    assert torch.equal(same[1, :3], others[0])
    assert ((draws >= 0) & (draws <= 1)).all()
    assert ((others >= 0) & (others < 50)).all()
    left, _ = drawn(torch.tensor([[0, 8, 9]]), torch.tensor([[0, 1, 1]]), 50, (3, 4))
    assert torch.equal(left[0, 1:], draws[1, :2])
    for seeds in ((3, 5), (4, 4)):
        assert not torch.equal(drawn(ids, attention, 50, seeds)[0], draws)


def test_other_words_in_each_step_and_the_same_ones_again(word_base: Path) -> None:
    model, batch = model_of(word_base), batch_of(word_base)
    one, same, other = ([c["wanted"] for c in read_as(term_of(model), batch, step)] for step in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
    torch.manual_seed(1)
    first = model.eval()(batch, 0.1)["mlm"]
    torch.manual_seed(2)
    assert torch.equal(model(batch, 0.1)["mlm"], first)
    assert not torch.equal(model(batch, 0.2)["mlm"], first)


def test_without_a_masked_word_it_is_zero(word_base: Path) -> None:
    model = model_of(word_base, share=1e-9)
    told = model(batch_of(word_base))
    told["loss"].backward()
    assert told["mlm"] == 0.0
    assert term_of(model).head.dense.weight.grad is not None


def gradients(base: Path, how: Passes | None, **told: Any) -> dict[str, Tensor]:
    """Of two batches; ``mlm`` is the last one's value."""
    model = model_of(base, how, share=0.4, **told).train()
    for batch in (batch_of(base), batch_of(base, 5)):
        found = model(batch, 0.3)
        found["loss"].backward()
    named = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return {**named, "mlm": found["mlm"]}


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5, msg=lambda told, n=name: f"{n}: {told}")


def test_the_encoder_and_the_head_learn(word_base: Path) -> None:
    found = gradients(word_base, None)
    names = ("dense.weight", "norm.weight", "decoder.bias")
    for name in (*(f"objective.trained.0.head.{each}" for each in names), *EMBEDDINGS):
        assert found[name].abs().max() > 1e-4, name


EMBEDDINGS = ("encoder.0.model.embeddings.word_embeddings.weight", "encoder.0.model.embeddings.LayerNorm.weight")


def test_the_cached_gradient_is_the_plain_one_with_dropout_on(word_base: Path) -> None:
    def drawn_alike(how: Passes | None) -> dict[str, Tensor]:
        torch.manual_seed(5)
        return gradients(word_base, how, dropout=None)

    assert_same(drawn_alike(None), drawn_alike(Passes(grad_cache=True)))
    small = Passes(grad_cache=True, most_tokens=20)
    assert_same(gradients(word_base, None), gradients(word_base, small))


@pytest.mark.parametrize("num_processes", [2, 3])
def test_several_processes_have_the_value_and_gradient_of_one(word_base: Path, num_processes: int) -> None:
    """As DistributedDataParallel takes it: the mean over the processes."""
    import torch.distributed as dist

    def shared() -> dict[str, Tensor]:
        processes.wait()
        found = gradients(word_base, None)
        for name in found.keys() - {"mlm"}:
            dist.all_reduce(found[name])
            found[name] /= processes.count()
        return {name: value.detach() for name, value in found.items()}

    whole = gradients(word_base, None)
    for own in together(shared, num_processes):
        assert_same(whole, own)


def test_half_precision(word_base: Path) -> None:
    model, batch = model_of(word_base, share=0.4).eval(), batch_of(word_base)
    plain = model(batch)["mlm"]
    with torch.autocast("cpu", torch.bfloat16):
        half = model(replace(batch))["mlm"]
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(plain.item(), rel=0.02)


def test_a_tokeniser_without_a_mask_is_refused(word_base: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "maskless"
    shutil.copytree(word_base, folder)
    told = json.loads((folder / "tokenizer_config.json").read_text())
    del told["mask_token"]
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    with pytest.raises(ModelError) as error:
        model_of(folder)
    assert str(error.value).startswith(
        "the student's tokeniser has no token for a masked word\n  where: the objective 'mlm'\n"
    )
