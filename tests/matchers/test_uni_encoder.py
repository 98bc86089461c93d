"""A uni-encoder's masks, its two ways to the same scores, and what a score depends on."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from retkd.errors import ModelError
from retkd.matchers.cross_encoder import PairScorer
from retkd.matchers.segment_head import INITIAL_SCALE
from retkd.matchers.uni_encoder import UniEncoder, UniMask, allowed
from retkd.matchers.uni_scorer import UniScorer
from tests.tiny import WORDS, tiny_cross_encoder, tiny_encoder

QUERY, OTHER = " ".join(WORDS[:3]), WORDS[50]
DOCUMENTS = [" ".join(WORDS[10:22]), WORDS[30], " ".join(WORDS[3:9]), " ".join(WORDS[60:63]), ""]
LISTS = [(QUERY, DOCUMENTS), (OTHER, DOCUMENTS[1:3]), ("", ["gale"]), (QUERY, [WORDS[5]])]


def scorer(folder: Path, mask: UniMask = "blocked", candidates_per_pass: int = 8, max_length: int = 40) -> UniScorer:
    """A head whose linear part is not zero."""
    from transformers import AutoTokenizer

    model = UniEncoder.load(folder).eval()
    model.mask, model.candidates_per_pass = mask, candidates_per_pass
    with torch.no_grad():
        model.weight.copy_(torch.linspace(-1, 1, len(model.weight)))
    return UniScorer(model, AutoTokenizer.from_pretrained(str(folder)), max_length, 10)


def scores_of(found: UniScorer, query: str, documents: Any, **told: Any) -> np.ndarray:
    return found.score_lists([(query, list(documents))], **told)[0]


def whole_passes(found: UniScorer, lists: Any, mask: UniMask) -> list[float]:
    """Scores by the [token, token] mask, each list one pass."""
    read, _ = found.read(lists)
    rows = [np.flatnonzero(read.list_of == own) for own in range(len(lists))]
    features = found._pass_features(read, rows)
    found.model.mask = mask
    with torch.no_grad():
        return found.model.passes(features)[features["valid"]].tolist()


def test_who_may_look_at_whom_by_hand() -> None:
    """Two tokens of context, one of each of two candidates, one of padding."""
    owner = torch.tensor([[0, 0, 1, 2, -1]])
    blocked = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]]
    arrow = [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0]]
    assert allowed(owner, "blocked")[0, :4].int().tolist() == blocked
    assert allowed(owner, "arrow")[0, :4].int().tolist() == arrow
    assert allowed(owner, "blocked")[0, 4].any()


def test_a_new_head_is_the_scaled_cosine_of_the_texts_own_tokens(encoder_folder: Path) -> None:
    """Against the encoder called with the pair's tokens and the blocked mask written out."""
    found = scorer(encoder_folder)
    with torch.no_grad():
        found.model.weight.zero_()
    columns, _ = found.tokenize([(QUERY, DOCUMENTS[2])])
    ids = torch.tensor(columns["input_ids"])
    begin = columns["input_ids"][0].index(found.tokenizer.sep_token_id) + 1
    hidden = torch.zeros(1, 1, ids.shape[1], ids.shape[1])
    hidden[:, :, :begin, begin:] = -1e9
    types = torch.tensor(columns["token_type_ids"])
    states = found.model.base_model(input_ids=ids, token_type_ids=types, attention_mask=hidden).last_hidden_state[0]
    u, v = states[1 : begin - 1].mean(dim=0), states[begin:-1].mean(dim=0)
    expected = INITIAL_SCALE * torch.cosine_similarity(u, v, dim=0).item()
    assert scores_of(found, QUERY, [DOCUMENTS[2]])[0] == pytest.approx(expected, abs=1e-4)


def test_lent_keys_and_values_give_the_scores_of_the_blocked_mask(encoder_folder: Path) -> None:
    found = scorer(encoder_folder)
    fast = found.score_lists(LISTS)[0]
    assert whole_passes(found, LISTS, "blocked") == pytest.approx(fast.tolist(), abs=1e-5)
    assert np.ptp(fast) > 0.1


def test_and_its_gradients(encoder_folder: Path) -> None:
    found = scorer(encoder_folder)
    inputs, places = found.inputs(LISTS)
    fast = found.scores(inputs)[torch.from_numpy(places)]
    fast.square().sum().backward()
    gradients = {name: p.grad.clone() for name, p in found.model.named_parameters() if p.grad is not None}
    found.model.zero_grad()
    read, _ = found.read(LISTS)
    features = found._pass_features(read, [np.flatnonzero(read.list_of == own) for own in range(len(LISTS))])
    slow = found.model.passes(features)[features["valid"]]
    slow.square().sum().backward()
    assert torch.allclose(fast, slow, atol=1e-5)
    assert len(gradients) > 30
    for name, parameter in found.model.named_parameters():
        if name in gradients:
            assert torch.allclose(gradients[name], parameter.grad, atol=1e-3, rtol=1e-3), name


@pytest.mark.parametrize("mask", ["blocked", "arrow"])
def test_permuting_candidates_permutes_their_scores(encoder_folder: Path, mask: UniMask) -> None:
    found, order = scorer(encoder_folder, mask), [3, 0, 4, 2, 1]
    plain = scores_of(found, QUERY, DOCUMENTS)
    assert scores_of(found, QUERY, [DOCUMENTS[i] for i in order]) == pytest.approx(plain[order], abs=1e-5)


@pytest.mark.parametrize("mask", ["blocked", "arrow"])
def test_a_document_that_stands_twice_gets_one_score(encoder_folder: Path, mask: UniMask) -> None:
    found = scores_of(scorer(encoder_folder, mask), QUERY, [DOCUMENTS[0], DOCUMENTS[1], DOCUMENTS[0]])
    assert found[0] == pytest.approx(found[2], abs=1e-5)
    assert abs(found[0] - found[1]) > 1e-3


def test_with_the_blocked_mask_a_candidate_scores_as_it_does_alone(encoder_folder: Path) -> None:
    found = scorer(encoder_folder)
    alone = [scores_of(found, QUERY, [document])[0] for document in DOCUMENTS]
    assert scores_of(found, QUERY, DOCUMENTS) == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(("layers", "depends"), [(1, False), (2, True)])
def test_with_the_arrow_mask_others_matter_from_the_second_layer_on(tmp_path: Path, layers: int, depends: bool) -> None:
    """The head reads the query's states too, which see every candidate at once: so it compares candidates' states."""
    found = scorer(tiny_encoder(tmp_path / "encoder", layers=layers), "arrow")
    found.model.compare = lambda u, v: v @ torch.linspace(-1, 1, v.shape[1])  # type: ignore[method-assign]
    together = scores_of(found, QUERY, DOCUMENTS[:3])
    alone = np.array([scores_of(found, QUERY, [document])[0] for document in DOCUMENTS[:3]])
    assert bool(np.abs(together - alone).max() > 1e-3) == depends


def test_arrow_lists_are_cut_into_passes_in_their_order(encoder_folder: Path) -> None:
    found = scorer(encoder_folder, "arrow", candidates_per_pass=2)
    parts = [scores_of(found, QUERY, DOCUMENTS[start : start + 2]) for start in (0, 2, 4)]
    assert scores_of(found, QUERY, DOCUMENTS) == pytest.approx(np.concatenate(parts), abs=1e-5)
    whole = scores_of(scorer(encoder_folder, "arrow", candidates_per_pass=5), QUERY, DOCUMENTS)
    assert np.abs(whole - np.concatenate(parts)).max() > 1e-3


@pytest.mark.parametrize("mask", ["blocked", "arrow"])
def test_neither_the_other_lists_nor_the_batches_matter(encoder_folder: Path, mask: UniMask) -> None:
    found = scorer(encoder_folder, mask, candidates_per_pass=3)
    alone = np.concatenate([found.score_lists([each])[0] for each in LISTS])
    for tokens_per_batch in (1, 64, 10**6):
        assert found.score_lists(LISTS, tokens_per_batch)[0] == pytest.approx(alone, abs=1e-5)
    inputs, places = found.inputs(LISTS)
    with torch.no_grad():
        assert found.scores(inputs).numpy()[places] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("mask", ["blocked", "arrow"])
def test_one_query_with_one_candidate(encoder_folder: Path, mask: UniMask) -> None:
    scores, cut = scorer(encoder_folder, mask).score_with_cuts([(QUERY, DOCUMENTS[1])])
    assert (scores.shape, cut.tolist()) == ((1,), [False])


def test_a_cut_keeps_the_markers_and_the_positions_in_range(encoder_folder: Path) -> None:
    found = scorer(encoder_folder, max_length=24)
    long = " ".join(WORDS[:200])
    read, cut = found.read([(long, [long, "gale"]), ("baco", [long])])
    separator = found.tokenizer.sep_token_id
    assert cut.tolist() == [True, True, True]
    for column in (read.contexts, read.candidates):
        assert all(ids[-1] == separator for ids in column["input_ids"])
        assert all(text[-1] == 0 for text in column["text"])
    assert [len(ids) for ids in read.contexts["input_ids"]] == [12, 3]
    assert [len(ids) for ids in read.candidates["input_ids"]] == [12, 2, 21]
    assert [(row[0], row[-1]) for row in read.candidates["position_ids"]] == [(12, 23), (12, 13), (3, 23)]
    assert np.isfinite(found.score_lists([(long, [long, "gale"]), ("baco", [long])])[0]).all()


def test_a_saved_model_gives_the_same_scores_and_knows_its_mask(encoder_folder: Path, tmp_path: Path) -> None:
    found = scorer(encoder_folder, "arrow", candidates_per_pass=3)
    found.model.save_pretrained(str(tmp_path))
    found.tokenizer.save_pretrained(str(tmp_path))
    loaded = UniScorer.load(tmp_path, "cpu", 40, 10)
    assert (loaded.model.mask, loaded.model.candidates_per_pass) == ("arrow", 3)
    assert loaded.score_lists(LISTS)[0] == pytest.approx(found.score_lists(LISTS)[0], abs=1e-6)
    with pytest.raises(ModelError) as error:
        PairScorer.load(tmp_path, "cpu", 40, 10)
    assert str(error.value) == (
        "this folder holds no cross-encoder\n"
        f"  where: {tmp_path}\n"
        "  seen: uni_head.safetensors\n"
        "  allowed: a sequence-classification model, or one that teach trained with head classifier or segments\n"
        "  next step: use the teacher kind uni_encoder"
    )


def test_another_models_folder_is_refused(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "cross-encoder")
    with pytest.raises(ModelError) as error:
        UniScorer.load(folder, "cpu", 40, 10)
    assert str(error.value) == (
        "this folder holds no uni-encoder\n"
        f"  where: {folder}\n"
        "  allowed: a folder with uni_head.safetensors\n"
        "  next step: train one with a stage of kind teach and `head: uni`, or use the teacher kind cross_encoder"
    )


def test_an_architecture_that_was_not_tried_is_refused() -> None:
    from transformers import DistilBertConfig, DistilBertModel

    with pytest.raises(ModelError, match=r"not tried with\n  seen: distilbert\n  allowed: bert\n  next step: choose a"):
        UniEncoder(DistilBertModel(DistilBertConfig(vocab_size=8, dim=8, n_layers=1, n_heads=1, hidden_dim=8)))
