"""Scores out of labels: values worked out by hand, and a refusal where a label would have to be guessed."""

from math import exp, log

import pytest
import torch
from pydantic import TypeAdapter, ValidationError

from retkd.errors import ModelError
from retkd.matchers.labels import LabelOdds, Labels, readout

UNNAMED = {number: f"LABEL_{number}" for number in range(3)}
NLI = {0: "contradiction", 1: "entailment", 2: "neutral"}
LOGITS = torch.tensor([[1.0, 4.0, 2.0], [0.0, 0.0, 0.0]])


def scores(labels: Labels, names: dict[int, str], logits: torch.Tensor = LOGITS) -> list[float]:
    return readout(labels, names).of(logits[:, : len(names)]).tolist()


def test_one_label_is_its_logit() -> None:
    assert scores("auto", {0: "LABEL_0"}) == [1.0, 0.0]
    assert readout("auto", {0: "relevance"}).scale == "logit"


def test_of_two_labels_without_names_the_second_is_relevance() -> None:
    assert scores("auto", {0: "LABEL_0", 1: "LABEL_1"}) == [3.0, 0.0]
    assert scores("difference", {0: "no", 1: "yes"}) == [3.0, 0.0]


def test_two_labels_with_names_are_not_guessed_at() -> None:
    """A QNLI model has `entailment` first: the difference would teach the opposite."""
    with pytest.raises(ModelError) as error:
        readout("auto", {0: "entailment", 1: "not_entailment"}, where="folder")
    assert str(error.value) == (
        "`labels: auto` does not say which of the model's labels is the score\n"
        "  where: folder\n"
        "  seen: id2label 0: entailment, 1: not_entailment\n"
        "  allowed: auto: one label, or two without names; difference: two; expected_grade: two or more; a chosen label\n"
        "  consequence: a wrong label would teach the opposite of relevance\n"
        '  next step: say which label is relevance, such as `labels: {positive: "not_entailment", negative: "entailment"}`'
        ", or `labels: expected_grade` where the labels are grades from low to high"
    )


@pytest.mark.parametrize(("labels", "names"), [("auto", UNNAMED), ("auto", NLI), ("difference", NLI)])
def test_three_labels_must_be_told_apart(labels: Labels, names: dict[int, str]) -> None:
    with pytest.raises(ModelError, match="does not say which of the model's labels is the score") as error:
        readout(labels, names)
    assert f"id2label 0: {names[0]}, 1: {names[1]}, 2: {names[2]}" in str(error.value)


@pytest.mark.parametrize("labels", ["difference", "expected_grade", LabelOdds(positive=0)])
def test_one_label_is_nothing_else(labels: Labels) -> None:
    with pytest.raises(ModelError, match="leave `labels` out: the score is the one logit"):
        readout(labels, {0: "LABEL_0"})


def test_one_label_against_another_is_the_difference_of_their_logits() -> None:
    found = readout(LabelOdds(positive="entailment", negative="contradiction"), NLI)
    assert found.of(LOGITS).tolist() == [3.0, 0.0]
    assert found.scale == "logit"
    assert scores(LabelOdds(positive="Entailment", negative=2), NLI) == [2.0, 0.0]


def test_one_label_against_the_rest_is_the_log_odds_of_its_probability() -> None:
    """p = e^4 / (e + e^4 + e^2); log(p / (1 - p)) = 4 - log(e + e^2). Of three equal ones: log(1/2)."""
    found = readout(LabelOdds(positive="entailment"), NLI)
    assert found.of(LOGITS).tolist() == pytest.approx([4 - log(exp(1) + exp(2)), log(0.5)], abs=1e-6)
    assert found.scale == "logit"
    p = LOGITS.softmax(dim=1)[:, 1]
    assert found.of(LOGITS).tolist() == pytest.approx(torch.logit(p).tolist(), abs=1e-5)


def test_the_expected_grade_is_the_mean_over_the_softmax() -> None:
    """Grades 0, 1, 2 with chances e : e^4 : e^2; three equal chances have the mean 1. Names that are numbers count."""
    e, total = (exp(1), exp(4), exp(2)), exp(1) + exp(4) + exp(2)
    assert scores("expected_grade", UNNAMED) == pytest.approx([(e[1] + 2 * e[2]) / total, 1.0], abs=1e-6)
    stars = {0: "5", 1: "3", 2: "1"}
    assert scores("expected_grade", stars) == pytest.approx([(5 * e[0] + 3 * e[1] + e[2]) / total, 3.0], abs=1e-6)
    assert readout("expected_grade", UNNAMED).scale == "unbounded"


def test_half_precision_logits_are_summed_in_float32() -> None:
    assert readout("expected_grade", UNNAMED).of(LOGITS.bfloat16()).dtype == torch.float32
    assert readout(LabelOdds(positive=0), UNNAMED).of(LOGITS.half()).dtype == torch.float32


@pytest.mark.parametrize("label", ["entailed", 3, -1])
def test_a_label_that_the_model_lacks(label: str | int) -> None:
    with pytest.raises(ModelError) as error:
        readout(LabelOdds(positive=label), NLI, where="folder")
    assert f"the model has no label {label!r}" in str(error.value)
    assert "allowed: id2label 0: contradiction, 1: entailment, 2: neutral" in str(error.value)
    if label == "entailed":
        assert "did you mean 'entailment'?" in str(error.value)


def test_a_label_against_itself() -> None:
    with pytest.raises(ModelError, match="a label cannot be judged against itself"):
        readout(LabelOdds(positive="entailment", negative=1), NLI)


def test_yaml_that_reads_a_label_as_a_truth_value_is_refused() -> None:
    """`{positive: yes}` without quotes is true in YAML: neither label 1 nor the label "yes"."""
    with pytest.raises(ValidationError):
        TypeAdapter(Labels).validate_python({"positive": True})
