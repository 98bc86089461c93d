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
ALLOWED = "NAME, NAME@K or NAME(rel=G)@K, for example nDCG@10, MRR@10, R@100, MRR(rel=2)@10"


def measure_name(written: str) -> str:
    """The name that tables show, one for each measure. Raises :class:`RecipeError` on a name that is no measure.

    >>> measure_name("RR@10"), measure_name("MRR@10"), measure_name("Recall@100"), measure_name("AP(rel=2)")
    ('MRR@10', 'MRR@10', 'R@100', 'MAP(rel=2)')
    """
    name, grade, cutoff = _parsed(written)
    return SHOWN_AS.get(name, name) + (f"(rel={grade})" if grade else "") + (f"@{cutoff}" if cutoff else "")


def ir_measure(written: str) -> "Measure":
    """The measure as ir_measures' object. nDCG has linear gain, as in trec_eval; a grade below ``rel`` counts 0."""
    from ir_measures.measures import registry

    name, grade, cutoff = _parsed(written)
    measure: Measure = registry[name](rel=grade) if grade else registry[name]()
    return measure @ cutoff if cutoff else measure


def cutoff_of(written: str) -> int | None:
    """How many ranks a measure looks at; ``None`` when it looks at all of them."""
    return _parsed(written)[2]


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
