"""A language model as teacher that picks the best of a few passages: setwise, and pairwise as two of them in both orders."""

import re
from collections.abc import Generator
from typing import ClassVar, Literal

from pydantic import Field

from retkd.parts import DataFile
from retkd.prompt import shipped_prompt
from retkd.teachers.ranker import Mends, Ordering, Question, Ranker
from retkd.teachers.sorting import bubble_top, heapsort_top

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
ALONE = re.compile(r"\W*(?:(?:passage|document|answer)\W+)*([A-Z])\W*", re.IGNORECASE)
NAMED = re.compile(r"(?:\b(?i:passage|document)\s+|[\[(])([A-Z])\b")


class _Picking(Ranker):
    """Ranks the best ``top`` of the candidates; the others stay unranked, which is null and not last."""

    REVISION: ClassVar[int] = 2  # a heap keeps the order of the miner where nothing is picked

    top: int = Field(default=10, ge=1, description="how many are ranked")
    sort: Literal["heap", "bubble"] = "heap"
    max_tokens: int = Field(default=8, ge=1, description="of one answer, which is a letter")

    def label(self, place: int) -> str:
        """``Passage A:``, ``Passage B:``, ..."""
        return f"Passage {LETTERS[place]}:"


class LLMSetwise(_Picking):
    """The best of ``children`` + 1 passages at a time (Zhuang et al. 2024)."""

    kind: Literal["llm_setwise"] = "llm_setwise"
    prompt: DataFile = shipped_prompt("setwise")
    children: int = Field(default=3, ge=1, le=25, description="passages that one is compared with in one prompt")

    def ordering(self, num_documents: int, mends: Mends) -> Ordering:
        """The best ``top``."""

        def best(group: list[int]) -> Generator[list[Question], list[str], int]:
            (answer,) = yield [tuple(group)]
            place = picked(answer, len(group))
            mends.add(answer, {"unusable": 1} if place is None else {}, len(group))
            return place or 0

        if self.sort == "heap":
            return heapsort_top(num_documents, self.top, self.children, best)
        return bubble_top(num_documents, self.top, self.children + 1, best)


class LLMPairwise(_Picking):
    """The better of two passages, asked in both orders; when the answers disagree the order stays (Qin et al. 2024).

    A heap takes O(num + top log num) comparisons, ``bubble`` top x num.
    """

    kind: Literal["llm_pairwise"] = "llm_pairwise"
    prompt: DataFile = shipped_prompt("pairwise")

    def ordering(self, num_documents: int, mends: Mends) -> Ordering:
        """The best ``top``."""

        def best(group: list[int]) -> Generator[list[Question], list[str], int]:
            ahead = 0
            for other in range(1, len(group)):
                one, two = group[ahead], group[other]
                answers = yield [(one, two), (two, one)]
                places = [picked(answer, 2) for answer in answers]
                for answer, place in zip(answers, places, strict=True):
                    mends.add(answer, {"unusable": 1} if place is None else {}, 2)
                mends.counts["disagreements"] += places[0] == places[1] and places[0] is not None
                if places == [1, 0]:
                    ahead = other
            return ahead

        if self.sort == "heap":
            return heapsort_top(num_documents, self.top, 2, best)
        return bubble_top(num_documents, self.top, 2, best)


def picked(answer: str, num: int) -> int | None:
    """The place that the answer names: a letter alone, or the only one that is named as a passage or in brackets.

    >>> picked("B", 3), picked("Passage C.", 3), picked("The best is [A], not a doubt", 3)
    (1, 2, 0)
    >>> picked("Z", 3), picked("Passage A or Passage B", 3), picked("A good question", 3)
    (None, None, None)
    """
    text = answer.rpartition("</think>")[2].strip()
    alone = ALONE.fullmatch(text)
    letters = {alone[1].upper()} if alone else {letter.upper() for letter in NAMED.findall(text)}
    places = [LETTERS.index(letter) for letter in letters]
    return places[0] if len(places) == 1 and places[0] < num else None
