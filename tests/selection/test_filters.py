"""False-negative filters: which scores they keep, and on which scales they mean anything."""

import math
from typing import get_args

import numpy as np
import pytest

from retkd.errors import ScaleError
from retkd.parts import Scale
from retkd.selection.filters import Absolute, Filter, Margin, Percentage

SCORES = np.array([0.9, 0.5, 0.2, -0.4])
SAME = np.full(4, 0.8)


@pytest.mark.parametrize(
    ("rule", "kept"),
    [
        (Absolute(teacher="ce", max_score=0.5), [False, True, True, True]),
        (Margin(teacher="ce", margin=0.0), [False, True, True, True]),
        (Margin(teacher="ce", margin=0.5), [False, False, True, True]),
        (Margin(teacher="ce", margin=-0.2), [True, True, True, True]),
        (Percentage(teacher="ce", percentage=0.625), [False, True, True, True]),
        (Percentage(teacher="ce", percentage=0.5), [False, False, True, True]),
    ],
)
def test_what_is_kept_below_a_positive_of_0_8(rule: Filter, kept: list[bool]) -> None:
    assert rule.keeps(SCORES, SAME).tolist() == kept


def test_a_score_at_the_very_limit_is_kept() -> None:
    limit, positive = np.array([0.5]), np.array([0.75])
    for rule in (
        Absolute(teacher="ce", max_score=0.5),
        Margin(teacher="ce", margin=0.25),
        Percentage(teacher="ce", percentage=0.625),
    ):
        at = 0.625 * positive if isinstance(rule, Percentage) else limit
        assert rule.keeps(at, positive).tolist() == [True]
        assert rule.keeps(np.nextafter(at, 1), positive).tolist() == [False]


@pytest.mark.parametrize("rule", [Margin(teacher="ce", margin=9.0), Percentage(teacher="ce", percentage=0.01)])
def test_without_a_positive_nothing_is_dropped(rule: Filter) -> None:
    assert rule.keeps(SCORES, np.full(4, math.nan)).all()


def test_a_higher_percentage_keeps_more() -> None:
    scores = np.linspace(0, 1, 101)
    kept = [set(np.flatnonzero(Percentage(teacher="t", percentage=p).keeps(scores, SAME[:1]))) for p in (0.1, 0.5, 1.0)]
    assert kept[0] < kept[1] < kept[2]
    assert kept[2] == set(range(81))


@pytest.mark.parametrize("scale", [s for s in get_args(Scale) if s != "probability"])
def test_a_percentage_is_refused_where_it_has_no_meaning(scale: Scale) -> None:
    with pytest.raises(ScaleError) as error:
        Percentage(teacher="ce").require(scale)
    assert str(error.value) == (
        "the filter 'percentage' cannot use the scores of teacher 'ce'\n"
        "  where: column teacher.ce\n"
        f"  seen: scale {scale!r}\n"
        "  allowed: probability\n"
        "  next step: a percentage means nothing on this scale (95 % of -3 is -2.85, which is higher): "
        "use {kind: margin, margin: ...}"
    )


def test_ranks_and_stored_draws_have_no_magnitude_and_every_other_scale_has() -> None:
    for rule in (Absolute(teacher="ce", max_score=0.0), Margin(teacher="ce")):
        for scale in ("rank", "distribution"):
            with pytest.raises(ScaleError, match="take a teacher that gives scores; a rank has no magnitude"):
                rule.require(scale)
        for scale in get_args(Scale):
            if scale not in ("rank", "distribution"):
                rule.require(scale)
    Percentage(teacher="ce").require("probability")
