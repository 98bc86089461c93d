"""Leading slices: which rows and columns a narrower student has of its base, and that it comes back from disk."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.encoders.encoder import Encoder
from retkd.errors import ModelError
from retkd.students.dense import Dense
from retkd.students.width import Width, leading, narrowed
from tests.architectures import made
from tests.tiny import tiny_encoder

TEXTS = ["baco difun fuga", "gale", "mi no pa ru"]


@pytest.mark.parametrize("kind", ["bert", "distilbert", "xlm-roberta", "mpnet", "deberta-v2", "modernbert", "qwen3"])
def test_with_equal_sizes_it_is_a_copy(kind: str) -> None:
    base = made(kind)
    same = narrowed(base, 16, 32, "base").state_dict()
    assert all(torch.equal(same[name], tensor) for name, tensor in base.state_dict().items())


@pytest.mark.parametrize("kind", ["bert", "distilbert", "xlm-roberta", "mpnet", "deberta-v2", "modernbert", "qwen3"])
def test_every_parameter_is_a_leading_slice(kind: str) -> None:
    """Against one slice per axis; the parts of a fused tensor one by one."""
    base = made(kind)
    small = narrowed(base, 8, None, "base")
    told = dict(base.named_parameters())
    for name, tensor in small.named_parameters():
        parts = 3 if "Wqkv" in name else 2 if ".Wi." in name else 1
        blocks, slices = told[name].chunk(parts), tensor.chunk(parts)
        for block, own in zip(blocks, slices, strict=True):
            assert torch.equal(own, block[tuple(slice(0, size) for size in own.shape)]), name
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in base.parameters())
    ids = torch.tensor([[5, 6, 7]])
    assert small(input_ids=ids).last_hidden_state.shape == (1, 3, 8)


def test_query_key_and_value_keep_the_rows_of_their_first_heads() -> None:
    """``view(heads, size, dim)[:kept]``, as TinyCLIP's inherited projections; the output keeps the same columns."""
    base = made("bert", num_attention_heads=4, hidden_size=32)
    small = narrowed(base, 16, None, "base")
    assert small.config.num_attention_heads == 2
    for one, other in zip(base.encoder.layer, small.encoder.layer, strict=True):
        for name in ("query", "key", "value"):
            whole = getattr(one.attention.self, name).weight.view(4, 8, 32)
            assert torch.equal(getattr(other.attention.self, name).weight, whole[:2, :, :16].reshape(16, 16))
        assert torch.equal(other.attention.output.dense.weight, one.attention.output.dense.weight[:16, :16])


def test_the_intermediate_size_is_in_proportion_or_as_told() -> None:
    base = made("bert")
    assert narrowed(base, 8, None, "base").config.intermediate_size == 16
    small = narrowed(base, 16, 12, "base")
    dense = small.encoder.layer[1].intermediate.dense
    assert torch.equal(dense.weight, base.encoder.layer[1].intermediate.dense.weight[:12])


def test_grouped_heads_stay_together() -> None:
    base = made("qwen3", num_attention_heads=4, num_key_value_heads=2, head_dim=8)
    small = narrowed(base, 8, None, "base")
    assert (small.config.num_attention_heads, small.config.num_key_value_heads, small.config.head_dim) == (2, 1, 8)
    with pytest.raises(ModelError, match="multiples of 8, which is one group of heads, up to 16"):
        narrowed(base, 4, None, "base")


@pytest.mark.parametrize("hidden", [12, 32])
def test_a_width_that_cannot_be(hidden: int) -> None:
    with pytest.raises(ModelError) as error:
        narrowed(made("bert"), hidden, None, "models/base")
    assert str(error.value) == (
        "the student cannot have this width\n"
        "  where: student.initialisation of models/base\n"
        f"  seen: hidden {hidden}\n"
        "  allowed: multiples of 8, which is one head, up to 16"
    )


def test_an_intermediate_size_that_cannot_be() -> None:
    with pytest.raises(ModelError) as error:
        narrowed(made("bert"), 16, 33, "models/base")
    assert str(error.value) == (
        "the student cannot be wider than its base\n"
        "  where: encoder.layer.0.intermediate.dense.weight of models/base\n"
        "  seen: [33, 16]\n"
        "  allowed: at most [32, 16]\n"
        "  next step: lower student.initialisation's hidden or intermediate"
    )


def test_parts_of_a_fused_tensor_are_cut_one_by_one() -> None:
    fused = torch.arange(12.0).view(6, 2)
    assert leading(fused, (3, 1), "layers.0.attn.Wqkv.weight", "").tolist() == [[0.0], [4.0], [8.0]]
    assert leading(fused, (3, 1), "dense.weight", "").tolist() == [[0.0], [2.0], [4.0]]


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_the_published_folder_loads_elsewhere_and_pools_as_the_base(tmp_path: Path, pooling: str) -> None:
    from sentence_transformers import SentenceTransformer

    base = tiny_encoder(tmp_path / "base", pooling=pooling, prompts={"query": "ba ", "document": ""})
    built = Dense(base="base", layers=[1], initialisation=[Width(hidden=16)], max_length=32).build(base, "cpu")
    assert built.dim == 16
    built.model.save_pretrained(str(tmp_path / "student"), create_model_card=False)
    again: Any = SentenceTransformer(str(tmp_path / "student"), device="cpu")
    assert (again[1].pooling_mode, again[1].embedding_dimension, again.max_seq_length) == (pooling, 16, 32)
    assert again[0].auto_model.config.num_attention_heads == 1
    expected = built.encode(TEXTS, "query")
    assert np.allclose(again.encode_query(TEXTS), expected, atol=1e-6)
    assert np.array_equal(Encoder.load(tmp_path / "student").encode(TEXTS, "query"), expected)
