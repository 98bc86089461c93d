"""A language model as teacher, a window of passages at a time: it permutes them (RankGPT, RankZephyr)."""

import re
from typing import Literal

from pydantic import Field, model_validator

from retkd.parts import DataFile
from retkd.prompt import shipped_prompt
from retkd.teachers.ranker import Mends, Ordering, Ranker

BRACKETED, BARE = re.compile(r"\[\s*(\d+)\s*\]"), re.compile(r"\d+")
ONLY_NUMBERS = re.compile(r"[\s\d>,;.|=-]*")


class LLMListwise(Ranker):
    """Sliding windows from the end of the list to its front, which carry the best passages upwards (Sun et al. 2023)."""

    kind: Literal["llm_listwise"] = "llm_listwise"
    prompt: DataFile = shipped_prompt("listwise")
    window: int = Field(default=20, ge=2, description="passages in one prompt")
    stride: int = Field(default=10, ge=1, description="places by which the window moves")
    passes: int = Field(default=1, ge=1)
    max_tokens: int = Field(default=200, ge=1, description="of one answer; a number of a list takes about five")

    @model_validator(mode="after")
    def _windows_overlap(self) -> "LLMListwise":
        if self.stride >= self.window:
            raise ValueError("stride must be less than window: else nothing is carried from one window to the next")
        return self

    @property
    def _fields(self) -> tuple[str, ...]:
        return ("query", "documents", "num")

    def label(self, place: int) -> str:
        """``[1]``, ``[2]``, ..."""
        return f"[{place + 1}]"

    def ordering(self, num_documents: int, mends: Mends) -> Ordering:
        """All candidates, after the last pass."""
        order = list(range(num_documents))
        for _ in range(self.passes):
            for start, end in windows(num_documents, self.window, self.stride):
                shown = order[start:end]
                (answer,) = yield [tuple(shown)]
                permutation, found = permuted(answer, len(shown))
                mends.add(answer, found, len(shown))
                order[start:end] = [shown[place] for place in permutation]
        return order


def windows(num: int, window: int, stride: int) -> list[tuple[int, int]]:
    """(start, end) of each window, from the end of the list; the last one begins at 0. A single candidate needs none.

    >>> windows(35, 20, 10)
    [(15, 35), (5, 25), (0, 15)]
    >>> windows(20, 20, 10), windows(1, 20, 10)
    ([(0, 20)], [])
    """
    found = []
    end = num
    while end > 1:
        start = max(0, end - window)
        found.append((start, end))
        if start == 0:
            break
        end -= stride
    return found


def permuted(answer: str, num: int) -> tuple[list[int], dict[str, int]]:
    """(places 0 .. num - 1 in the order of the answer, what had to be mended and how often).

    Numbers in brackets count; bare ones where the answer holds nothing else. The first mention of a number counts, a
    number that was not shown is left out, and those that are not named follow in the order that they had. An answer that
    names none is ``unusable``: the order stays. What a model thinks aloud, up to ``</think>``, is not its answer.

    >>> permuted("[2] > [1] > [3]", 3)
    ([1, 0, 2], {})
    >>> permuted("[3] > [3] > [9]", 3)
    ([2, 0, 1], {'repeated': 1, 'foreign': 1, 'missing': 2})
    >>> permuted("The best of the 3 passages is the second.", 3)
    ([0, 1, 2], {'unusable': 1})
    """
    text = answer.rpartition("</think>")[2]
    numbers = BRACKETED.findall(text) or (BARE.findall(text) if ONLY_NUMBERS.fullmatch(text) else [])
    named = [int(number) - 1 for number in numbers]
    known = [place for place in named if 0 <= place < num]
    first = list(dict.fromkeys(known))
    if not first:
        return list(range(num)), {"unusable": 1}
    missing = [place for place in range(num) if place not in first]
    found = {"repeated": len(known) - len(first), "foreign": len(named) - len(known), "missing": len(missing)}
    return first + missing, {what: count for what, count in found.items() if count}
