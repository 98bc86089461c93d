"""Names of measures: what a person writes, what a table shows, what ir_measures understands."""

import re
from typing import TYPE_CHECKING

from retkd.errors import RecipeError, did_you_mean

if TYPE_CHECKING:
    from ir_measures.measures import Measure

SHOWN_AS = {"RR": "MRR", "AP": "MAP"}
"""ir_measures' name of a query's value -> the usual name of its mean."""
MEASURED_AS = {shown: name for name, shown in SHOWN_AS.items()} | {"NDCG": "nDCG", "Recall": "R", "Precision": "P"}
WITH_CUTOFF = ("nDCG", "RR", "R", "P", "AP", "Success", "Judged")
WITHOUT_CUTOFF = ("nDCG", "RR", "AP", "Rprec", "Bpref", "infAP")
WITH_GRADE = ("RR", "R", "P", "AP", "Success", "Rprec", "Bpref", "infAP")
KNOWN = tuple(dict.fromkeys(WITH_CUTOFF + WITHOUT_CUTOFF))
GRAMMAR = re.compile(r"(?P<name>[A-Za-z]+)(\(rel=(?P<grade>\d+)\))?(@(?P<cutoff>[1-9]\d*))?")
OF_LISTS = re.compile(r"R_?(?P<candidates>[1-9]\d*)@(?P<cutoff>[1-9]\d*)")
ALLOWED = "NAME, NAME@K or NAME(rel=G)@K, for example nDCG@10, MRR@10, R@100, MRR(rel=2)@10; R10@1 over lists of 10"


def measure_name(written: str) -> str:
    """The name that tables show, one for each measure. Raises :class:`RecipeError` on a name that is no measure.

    >>> measure_name("RR@10"), measure_name("MRR@10"), measure_name("Recall@100"), measure_name("AP(rel=2)")
    ('MRR@10', 'MRR@10', 'R@100', 'MAP(rel=2)')
    >>> measure_name("R_10@1")
    'R10@1'
    """
    listed = list_recall(written)
    if listed is not None:
        return "R{}@{}".format(*listed)
    name, grade, cutoff = _parsed(written)
    return SHOWN_AS.get(name, name) + (f"(rel={grade})" if grade else "") + (f"@{cutoff}" if cutoff else "")


def ir_measure(written: str) -> "Measure":
    """The measure as ir_measures' object. nDCG has linear gain, as in trec_eval; a grade below ``rel`` counts 0."""
    from ir_measures.measures import registry

    if list_recall(written) is not None:
        raise RecipeError(
            f"{written} is measured over lists of candidates that are given, by a stage of kind evaluate alone",
            seen=written,
            allowed=ALLOWED,
        )
    name, grade, cutoff = _parsed(written)
    measure: Measure = registry[name](rel=grade) if grade else registry[name]()
    return measure @ cutoff if cutoff else measure


def cutoff_of(written: str) -> int | None:
    """How many ranks a measure looks at; ``None`` when it looks at all of them."""
    listed = list_recall(written)
    return listed[0] if listed is not None else _parsed(written)[2]


def list_recall(written: str) -> tuple[int, int] | None:
    """(candidates in a list, cutoff) of a measure R_n@k, such as R10@1; ``None`` for other names.

    >>> list_recall("R10@1"), list_recall("R_2@1"), list_recall("R@10")
    ((10, 1), (2, 1), None)
    """
    match = OF_LISTS.fullmatch(written.strip())
    if match is None:
        return None
    candidates, cutoff = int(match["candidates"]), int(match["cutoff"])
    if cutoff >= candidates:
        raise RecipeError(
            f"there is no measure {written!r}: among the first {cutoff} of {candidates} candidates is every one",
            seen=written,
            allowed="RN@K with K below N, for example R10@1, R10@5",
        )
    return candidates, cutoff


def _parsed(written: str) -> tuple[str, int | None, int | None]:
    """ir_measures' name, the lowest relevant grade and the cutoff, each as written or ``None``."""
    match = GRAMMAR.fullmatch(written.strip())
    if match is None:
        raise RecipeError("this is not the name of a measure", seen=written, allowed=ALLOWED)
    name = MEASURED_AS.get(match["name"], match["name"])
    grade, cutoff = (int(match[part]) if match[part] else None for part in ("grade", "cutoff"))
    if name not in (WITH_CUTOFF if cutoff else WITHOUT_CUTOFF):
        cutoff_missing = name in WITH_CUTOFF and not cutoff
        hint = "add @K, as in R@100" if cutoff_missing else did_you_mean(match["name"], [*KNOWN, *MEASURED_AS])
        raise RecipeError(f"there is no measure {written!r}", seen=written, allowed=ALLOWED, next_step=hint)
    if grade and name not in WITH_GRADE:
        raise RecipeError(f"{name} has no parameter rel", seen=written, allowed="rel with " + ", ".join(WITH_GRADE))
    return name, grade, cutoff
