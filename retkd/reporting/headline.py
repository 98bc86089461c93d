"""The first sentence of the report: did distillation help, in plain words and honestly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from retkd.reporting.evidence import Evaluation
from retkd.reporting.figures import number, p_value, percent, signed
from retkd.reporting.labels import label

SIGNIFICANT = 0.05

Verdict = Literal["better", "worse", "open", "unknown"]


@dataclass(frozen=True)
class Headline:
    """``sentence`` is the finding, ``detail`` the numbers behind it."""

    verdict: Verdict
    sentence: str
    detail: str


def headline(evaluation: Evaluation, split: str | None = None) -> Headline:
    """The finding on one split (default: the first) by the primary measure: student against baseline, p, gap closed."""
    split = split or evaluation.headline_split
    told = evaluation.gap[split]
    measure, student, control = told["measure"], told["student"], told["control"]
    names = {role: label(evaluation.protocol[key]) for role, key in (("student", "student"), ("control", "baseline"))}
    if student is None or control is None:
        return Headline("unknown", f"Nothing can be said about the {names['student']} yet.", _sentence(told["reason"]))
    verdict = _verdict(student - control, told["p_value"])
    where = f"on {split} {measure}"
    sentence = {
        "better": f"The {names['student']} beats the {names['control']} {where}.",
        "worse": f"The {names['student']} is worse than the {names['control']} {where}.",
        "open": f"The {names['student']} does not beat the {names['control']} {where}.",
    }[verdict]
    num_queries = evaluation.protocol["queries"][split]["evaluated"]
    detail = f"{number(student)} against {number(control)}: {signed(student - control)}, p {p_value(told['p_value'])}, "
    detail += f"{num_queries:,} queries."
    if verdict == "open":
        detail += " A difference of this size may be chance."
    return Headline(verdict, sentence, f"{detail} {closed(told)}")


def closed(told: Mapping[str, Any]) -> str:
    """What the gap says, as a sentence: the share and its interval, or why there is none."""
    if told["closed"] is None:
        return _sentence(told["reason"])
    share = f"It closes {percent(told['closed'])} of the gap from the control to the teacher"
    share += f" {band(told)}." if told["low"] is not None else "."
    if told["closed"] > 1:
        share += " It ranks above its teacher."
    return share if told["low"] is not None else f"{share} {_sentence(told['reason'])}"


def band(told: Mapping[str, Any]) -> str:
    """The interval of the share, on one line."""
    return f"[{percent(told['low'])},\N{NO-BREAK SPACE}{percent(told['high'])}]"


def _verdict(difference: float, p: float | None) -> Verdict:
    if p is None or p >= SIGNIFICANT:
        return "open"
    return "better" if difference > 0 else "worse"


def _sentence(text: str | None) -> str:
    return f"{text[0].upper()}{text[1:]}." if text else ""
