"""Terms around other terms: the same losses on cut, or on rounded vectors."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from retkd.errors import ModelError
from retkd.losses.quantisation import eight_bits, signs
from retkd.objectives import AnyObjective
from retkd.objectives.base import Training, leaves
from retkd.objectives.contrastive import InfoNCE
from retkd.objectives.cosine import Cosine
from retkd.objectives.in_batch_kl import InBatchKL
from retkd.objectives.kl import KL
from retkd.objectives.matryoshka import Matryoshka
from retkd.objectives.quantised import Quantised
from retkd.objectives.rescored import rescored
from retkd.objectives.truncated import truncated
from tests.objectives.vectors import TRAINING, scored, unit

TERMS = [KL(teacher="ce"), InBatchKL(model="wide", weight=0.5), InfoNCE(weight=0.3)]


def value(term: Any, made: Any = None, training: Training = TRAINING) -> float:
    found: float = term.bind(training)(scored() if made is None else made).item()
    return found


def test_with_the_whole_width_alone_it_is_its_terms() -> None:
    expected = sum(term.weight * value(term) for term in TERMS)
    assert value(Matryoshka(dims=[6], terms=TERMS)) == pytest.approx(expected, rel=1e-6)


def test_widths_and_their_weights_add_up() -> None:
    alone = [value(Matryoshka(dims=[dim], terms=TERMS)) for dim in (6, 4, 2)]
    assert value(Matryoshka(dims=[6, 4, 2], terms=TERMS)) == pytest.approx(sum(alone), rel=1e-6)
    weighed = value(Matryoshka(dims=[6, 4, 2], dim_weights=[1.0, 0.5, 3.0], terms=TERMS))
    assert weighed == pytest.approx(alone[0] + 0.5 * alone[1] + 3 * alone[2], rel=1e-6)


def test_a_width_depends_on_its_first_coordinates_alone() -> None:
    made = scored()
    loss = Matryoshka(dims=[4], terms=TERMS).bind(TRAINING)(made)
    for found in torch.autograd.grad(loss, [made.queries, made.documents]):
        assert (found[:, :4] != 0).any()
        assert (found[:, 4:] == 0).all()


def test_vectors_are_cut_and_then_normalised_and_the_teachers_are_whole() -> None:
    made = scored()
    cut = truncated(made, 3)
    expected = torch.nn.functional.normalize(made.queries[:, :3], dim=1)
    assert torch.equal(cut.queries, expected)
    assert torch.allclose(cut.documents.norm(dim=1), torch.ones(7))
    assert torch.allclose(cut.in_batch, cut.queries @ cut.documents.T)
    assert torch.equal(cut.own, cut.in_batch.gather(1, made.batch.candidates))
    assert cut.batch is made.batch


def test_a_term_with_a_projector_has_one_for_each_width() -> None:
    term = Matryoshka(dims=[6, 4], terms=[Cosine(model="wide", projector="linear")])
    loss = term.bind(TRAINING)
    assert [tuple(p.shape) for p in loss.parameters()] == [(8, 6), (8, 4)]
    loss(scored()).backward()
    assert all((p.grad != 0).any() for p in loss.parameters())


def test_widths_can_be_drawn_for_each_step() -> None:
    alone = {dim: round(value(Matryoshka(dims=[dim], terms=TERMS)), 4) for dim in (6, 4, 2)}
    loss = Matryoshka(dims=[6, 4, 2], dims_per_step=1, terms=TERMS).bind(TRAINING)
    seen = {round(loss(scored()).item(), 4) for _ in range(30)}
    assert seen == set(alone.values())
    loss.eval()
    assert loss(scored()).item() == pytest.approx(sum(alone.values()), abs=1e-3)


def test_its_leaves_are_what_reads_the_batch() -> None:
    term = Matryoshka(dims=[6], terms=[*TERMS[:2], Cosine(model="same")])
    assert [leaf.kind for leaf in leaves([term, InfoNCE()])] == ["kl", "in_batch_kl", "cosine", "infonce"]
    assert term.needs_vectors
    assert [leaf.encoders for leaf in term.leaves] == [(), ("wide",), ("same",)]


def test_a_recipe_nests_them_by_kind() -> None:
    raw = {
        "kind": "matryoshka",
        "dims": [6, 2],
        "terms": [{"kind": "kl", "teacher": "ce"}, {"kind": "vkd", "model": "wide"}],
    }
    term = TypeAdapter(AnyObjective).validate_python(raw)
    assert [leaf.kind for leaf in term.leaves] == ["kl", "vkd"]
    with pytest.raises(ValidationError, match="does not match any of the expected tags"):
        TypeAdapter(AnyObjective).validate_python({**raw, "terms": [{"kind": "kll"}]})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dims": [2, 4]}, "`dims` fall from the widest to the narrowest, each once: not \\[2, 4\\]"),
        ({"dims": [4, 4]}, "each once"),
        ({"dims": [4, 2], "dim_weights": [1.0]}, "`dim_weights` has 1 numbers and `dims` 2"),
        ({"dims": [4, 2], "dims_per_step": 3}, "`dims_per_step` is 3, and there are 2 `dims`"),
        ({"dims": [4], "terms": []}, "at least 1 item"),
    ],
)
def test_what_it_refuses(fields: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Matryoshka(**{"terms": TERMS, **fields})


def test_a_student_that_is_too_narrow_is_refused() -> None:
    with pytest.raises(ModelError) as error:
        Matryoshka(dims=[8, 4], terms=TERMS).bind(TRAINING)
    assert str(error.value) == (
        "the student's vectors are narrower than the widest of the Matryoshka widths\n"
        "  where: objective matryoshka\n"
        "  seen: dims [8, 4], vectors of 6\n"
        "  allowed: widths up to 6\n"
        "  next step: begin `dims` with 6"
    )


def test_a_vector_that_is_not_of_unit_length_is_normalised_at_every_width() -> None:
    made = scored(3.0 * unit(3, 6), unit(7, 6, seed=1))
    assert value(Matryoshka(dims=[6], terms=TERMS), made) == pytest.approx(
        value(Matryoshka(dims=[6], terms=TERMS)), rel=1e-5
    )


@pytest.mark.parametrize(("codes", "held"), [("binary", signs), ("int8", eight_bits)])
@pytest.mark.parametrize("queries", [False, True])
def test_quantised_terms_see_what_an_index_holds(codes: Any, held: Any, queries: bool) -> None:
    made = scored()
    rounded = rescored(made, held(made.queries) if queries else made.queries, held(made.documents))
    expected = sum(term.weight * value(term, rounded) for term in TERMS)
    loss = Quantised(codes=codes, queries=queries, terms=TERMS).bind(TRAINING)(made)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    assert loss.item() != pytest.approx(sum(term.weight * value(term) for term in TERMS), rel=1e-6)
    for found in torch.autograd.grad(loss, [made.queries, made.documents]):
        assert (found != 0).any()


def test_wrappers_wrap_each_other() -> None:
    raw = {
        "kind": "matryoshka",
        "dims": [6, 2],
        "terms": [{"kind": "quantised", "terms": [{"kind": "cosine", "model": "wide", "projector": "linear"}]}],
    }
    term = TypeAdapter(AnyObjective).validate_python(raw)
    assert [leaf.kind for leaf in term.leaves] == ["cosine"]
    assert [tuple(p.shape) for p in term.bind(TRAINING).parameters()] == [(8, 6), (8, 2)]
    assert value(term) > 0


def test_a_term_that_says_too_little_alone_needs_company_inside_too() -> None:
    terms = [{"kind": "sinkd", "teacher": "ce"}, {"kind": "infonce"}]
    with pytest.raises(ValidationError, match="sinkd needs a term that reads the teacher, such as kl, beside it"):
        Matryoshka(dims=[4], terms=terms)
    with pytest.raises(ValidationError, match="xded needs another term, such as infonce, beside it: alone it is zero"):
        Quantised(terms=[{"kind": "xded"}])
    assert Matryoshka(dims=[4], terms=[*terms, {"kind": "kl", "teacher": "ce"}]).needs_vectors


def test_a_term_that_reads_layers_stands_beside_and_not_inside() -> None:
    with pytest.raises(ValidationError, match=r"hidden_cosine reads layers, exits or words.*put it beside this term"):
        Matryoshka(dims=[4], terms=[{"kind": "hidden_cosine", "model": "base"}])
