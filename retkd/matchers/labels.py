"""One number out of a classifier's labels: which logits make the score, and on which scale it is.

`auto` takes one logit, or two labels without names (the second's logit minus the first's, which is the log-odds of a
softmax over both). Labels that have names are never guessed at: an NLI model's `entailment` may stand first or last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, StrictInt

from retkd.errors import ModelError, did_you_mean
from retkd.parts import Part, Scale

Label = StrictInt | str


class LabelOdds(Part):
    """Log-odds of one label: against another, or against all the rest together."""

    positive: Label = Field(description="a name in the model's id2label, or its number")
    negative: Label | None = Field(default=None, description="default: all the other labels together")


Labels = Literal["auto", "difference", "expected_grade"] | LabelOdds
"""How a recipe says what the score is."""


@dataclass(frozen=True)
class Readout:
    """``of(logits)`` gives scores ``[pair]`` of logits ``[pair, label]``; ``scale`` says what they are."""

    of: Callable[[Any], Any]
    scale: Scale


def readout(labels: Labels, id2label: Mapping[int, str], where: object = None) -> Readout:
    """How these labels are read. Raises :class:`ModelError` when the model has no such labels or they are ambiguous."""
    names = [str(id2label[number]) for number in sorted(id2label)]
    if isinstance(labels, LabelOdds):
        return _odds(labels, names, where)
    if labels == "expected_grade":
        return _expected_grade(names, where)
    unnamed = names == [f"LABEL_{number}" for number in range(len(names))]
    if len(names) == 1 and labels == "auto":
        return Readout(lambda logits: logits[:, 0], "logit")
    if len(names) == 2 and (unnamed or labels == "difference"):
        return _log_odds(1, 0)
    raise _ambiguous(labels, names, where)


def _odds(labels: LabelOdds, names: list[str], where: object) -> Readout:
    positive = _position(labels.positive, names, where)
    if labels.negative is None:
        if len(names) == 1:
            raise _ambiguous("positive", names, where)
        return _against_the_rest(positive, len(names))
    negative = _position(labels.negative, names, where)
    if positive == negative:
        raise ModelError(
            "a label cannot be judged against itself", where=where, seen=names[positive], allowed=_listed(names)
        )
    return _log_odds(positive, negative)


def _log_odds(positive: int, negative: int) -> Readout:
    """log p(positive) / p(negative): the softmax's sum cancels."""
    return Readout(lambda logits: logits[:, positive].float() - logits[:, negative].float(), "logit")


def _against_the_rest(positive: int, num_labels: int) -> Readout:
    """log p / (1 - p) = z - log sum of exp over the other labels."""
    rest = [number for number in range(num_labels) if number != positive]
    return Readout(lambda logits: logits[:, positive] - logits[:, rest].float().logsumexp(dim=1), "logit")


def _expected_grade(names: list[str], where: object) -> Readout:
    """Sum of grade times probability; a grade is the label's name where all names are numbers, else its position."""
    if len(names) == 1:
        raise _ambiguous("expected_grade", names, where)
    grades = [_number(name) for name in names]
    values = (
        [float(g) for g in grades if g is not None] if None not in grades else [float(n) for n in range(len(names))]
    )

    def of(logits: Any) -> Any:
        chances = logits.float().softmax(dim=1)
        return chances @ chances.new_tensor(values)

    return Readout(of, "unbounded")


def _number(name: str) -> float | None:
    try:
        return float(name)
    except ValueError:
        return None


def _position(label: Label, names: list[str], where: object) -> int:
    if isinstance(label, int):
        if 0 <= label < len(names):
            return label
    else:
        exact = [number for number, name in enumerate(names) if name == label]
        close = [number for number, name in enumerate(names) if name.casefold() == label.casefold()]
        if len(exact or close) == 1:
            return (exact or close)[0]
    raise ModelError(
        f"the model has no label {label!r}",
        where=where,
        seen=label,
        allowed=_listed(names),
        next_step=did_you_mean(str(label), names),
    )


def _ambiguous(labels: str, names: list[str], where: object) -> ModelError:
    if len(names) == 1:
        next_step = "leave `labels` out: the score is the one logit"
    else:
        other = f', negative: "{names[0]}"' if len(names) == 2 else ""
        next_step = f'say which label is relevance, such as `labels: {{positive: "{names[-1]}"{other}}}`'
        next_step += ", or `labels: expected_grade` where the labels are grades from low to high"
    return ModelError(
        f"`labels: {labels}` does not say which of the model's labels is the score",
        where=where,
        seen=_listed(names),
        allowed="auto: one label, or two without names; difference: two; expected_grade: two or more; a chosen label",
        consequence="a wrong label would teach the opposite of relevance",
        next_step=next_step,
    )


def _listed(names: list[str]) -> str:
    return "id2label " + ", ".join(f"{number}: {name}" for number, name in enumerate(names))
