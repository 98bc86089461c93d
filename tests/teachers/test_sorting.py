"""The orderings: with a perfect judge they sort; how many questions they take; what a useless judge leaves."""

import itertools
import math
import random
from collections.abc import Generator
from typing import Any

import pytest

from retkd.teachers.llm_listwise import LLMListwise, permuted, windows
from retkd.teachers.llm_setwise import LLMPairwise, LLMSetwise, picked
from retkd.teachers.ranker import Mends, Ordering, Question
from retkd.teachers.sorting import bubble_top, heapsort_top

LLM = {"kind": "openai", "base_url": "http://localhost/v1", "model": "m"}


def asked(ordering: Ordering, answer) -> tuple[list[int], list[Question]]:  # type: ignore[no-untyped-def]
    """(the order, every question), when ``answer(question)`` is the model."""
    questions: list[Question] = []
    try:
        round_ = next(ordering)
        while True:
            questions += round_
            round_ = ordering.send([answer(question) for question in round_])
    except StopIteration as end:
        return end.value, questions


def grades(num: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(num), num)


def truly(found: list[int]) -> list[int]:
    return sorted(range(len(found)), key=lambda place: -found[place])


def one_question(group: list[int]) -> Generator[list[Question], list[str], int]:
    (answer,) = yield [tuple(group)]
    return int(answer)


@pytest.mark.parametrize("num", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("k", [1, 3, 30])
@pytest.mark.parametrize("children", [1, 2, 3, 9])
def test_both_sorts_find_the_best_in_order(num: int, k: int, children: int) -> None:
    worth = grades(num, seed=num)

    def judge(question: Question) -> str:
        return str(max(range(len(question)), key=lambda i: worth[question[i]]))

    for sort in (
        heapsort_top(num, k, children, one_question),
        bubble_top(num, k, children + 1, one_question),
    ):
        order, questions = asked(sort, judge)
        assert order == truly(worth)[:k]
        assert all(2 <= len(question) <= children + 1 for question in questions)


def test_few_comparisons() -> None:
    """The ten best of 100: a heap of three children asks some 33 + 10 log_3(100) times, bubbles 10 x 33."""
    worth = grades(100, seed=0)

    def judge(question: Question) -> str:
        return str(max(range(len(question)), key=lambda i: worth[question[i]]))

    heap = len(asked(heapsort_top(100, 10, 3, one_question), judge)[1])
    bubble = len(asked(bubble_top(100, 10, 4, one_question), judge)[1])
    assert heap < 33 + 1.5 * 33 + 10 * (math.log(100, 3) + 1)
    assert heap < bubble / 2
    assert bubble <= 10 * 33


@pytest.mark.parametrize("sort", [bubble_top, heapsort_top])
def test_a_judge_who_always_prefers_what_is_ahead_leaves_the_order_as_it_was(sort: Any) -> None:
    assert asked(sort(12, 5, 3, one_question), lambda question: "0")[0] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("num", [1, 2, 19, 20, 21, 35, 100])
def test_windows_cover_everything_and_overlap(num: int) -> None:
    found = windows(num, 20, 10)
    if num == 1:
        assert found == []
        return
    assert {place for start, end in found for place in range(start, end)} == set(range(num))
    assert found[-1][0] == 0
    assert all(start < above_end for (start, _), (_, above_end) in itertools.pairwise(found))


def listwise(worth: list[int]):  # type: ignore[no-untyped-def]
    """A perfect model of windows."""

    def answer(question: Question) -> str:
        order = sorted(range(len(question)), key=lambda i: -worth[question[i]])
        return " > ".join(f"[{i + 1}]" for i in order)

    return answer


def test_a_pass_of_windows_carries_the_best_to_the_front() -> None:
    """As bubble sort does: with an overlap of 10, the best 10 of 45 are in order after one pass, all after enough."""
    worth = grades(45, seed=1)
    teacher = LLMListwise(llm=LLM)
    order, questions = asked(teacher.ordering(45, Mends()), listwise(worth))
    assert [len(question) for question in questions] == [20, 20, 20, 15]
    assert order[:10] == truly(worth)[:10]
    assert sorted(order) == list(range(45))
    passes = teacher.model_copy(update={"passes": 5})
    assert asked(passes.ordering(45, Mends()), listwise(worth))[0] == truly(worth)


@pytest.mark.parametrize(
    ("answer", "order", "found"),
    [
        ("[2] > [3] > [1]", [1, 2, 0], {}),
        ("2 > 3 > 1", [1, 2, 0], {}),
        ("Sure! [2]>[1]>[3].", [1, 0, 2], {}),
        ("<think>[1] is bad, [3] > [2]</think>[2] > [1] > [3]", [1, 0, 2], {}),
        ("[ 3 ]", [2, 0, 1], {"missing": 2}),
        ("[2] > [2] > [1] > [3]", [1, 0, 2], {"repeated": 1}),
        ("[4] > [2] > [0] > [1] > [3]", [1, 0, 2], {"foreign": 2}),
        ("", [0, 1, 2], {"unusable": 1}),
        ("I cannot rank 3 passages.", [0, 1, 2], {"unusable": 1}),
        ("[7] > [8]", [0, 1, 2], {"unusable": 1}),
    ],
)
def test_every_answer_gives_a_permutation(answer: str, order: list[int], found: dict[str, int]) -> None:
    assert permuted(answer, 3) == (order, found)


def test_any_text_gives_a_permutation() -> None:
    rng = random.Random(0)
    for _ in range(500):
        answer = "".join(rng.choices("[]123 4>,a", k=rng.randint(0, 20)))
        order, found = permuted(answer, 4)
        assert sorted(order) == [0, 1, 2, 3]
        assert found or all(f"{i}" in answer for i in (1, 2, 3, 4))


@pytest.mark.parametrize(
    ("answer", "place"),
    [
        ("A", 0),
        (" (b) ", 1),
        ("Passage C", 2),
        ("**Passage: B**", 1),
        ("Passage B is the best, better than the others", 1),
        ("D", None),
        ("", None),
        ("Passage A and Passage B", None),
        ("A passage about birds", None),
    ],
)
def test_the_letter_that_is_picked(answer: str, place: int | None) -> None:
    assert picked(answer, 3) == place


def picking(worth: list[int]):  # type: ignore[no-untyped-def]
    """A perfect model that picks."""
    return lambda question: "ABCDEFGH"[max(range(len(question)), key=lambda i: worth[question[i]])]


@pytest.mark.parametrize("sort", ["heap", "bubble"])
@pytest.mark.parametrize("kind", [LLMSetwise, LLMPairwise])
def test_picking_teachers_find_the_best(kind: type[LLMSetwise] | type[LLMPairwise], sort: str) -> None:
    worth, mends = grades(25, seed=2), Mends()
    order, questions = asked(kind(llm=LLM, top=6, sort=sort).ordering(25, mends), picking(worth))
    assert order == truly(worth)[:6]
    assert mends.num_answers == len(questions)
    assert not mends.records


@pytest.mark.parametrize("sort", ["heap", "bubble"])
def test_a_model_that_always_says_a_disagrees_with_itself_and_changes_nothing(sort: Any) -> None:
    mends = Mends()
    order, questions = asked(LLMPairwise(llm=LLM, top=3, sort=sort).ordering(6, mends), lambda question: "A")
    assert order == [0, 1, 2]
    assert mends.counts["disagreements"] == len(questions) / 2


@pytest.mark.parametrize(("sort", "shown"), [("heap", 2), ("bubble", 4)])
def test_an_answer_that_picks_nothing_is_counted_and_told(sort: Any, shown: int) -> None:
    mends = Mends()
    order, questions = asked(LLMSetwise(llm=LLM, top=3, sort=sort).ordering(5, mends), lambda question: "none")
    assert order == [0, 1, 2]
    assert mends.counts["unusable"] == len(questions) == len(mends.records)
    assert mends.records[0] == {"documents": shown, "unusable": 1, "answer": "none"}


def test_a_stride_that_leaves_no_overlap() -> None:
    with pytest.raises(ValueError, match="stride must be less than window"):
        LLMListwise(llm=LLM, window=5, stride=5)
