"""Finding the best few of many by asking for the best of some at a time: heap sort and bubble sort.

Zhuang et al. 2024 (setwise), Qin et al. 2024 (pairwise). ``best`` is a generator itself: it asks what it must and returns
which place of the group wins. Whoever wins by default was ahead before: bubbles show a group in its present order, a heap
in the miner's, because the places of a heap say nothing of two of its branches. So a judge who always names the first, or
none, leaves the miner's order.
"""

from collections.abc import Callable, Generator

from retkd.teachers.ranker import Ordering, Question

Best = Callable[[list[int]], Generator[list[Question], list[str], int]]
"""Candidates -> the position of the best one in that list."""


def heapsort_top(num: int, k: int, children: int, best: Best) -> Ordering:
    """The best ``k`` of ``num`` candidates, best first, from a heap in which each node has ``children`` children.

    About num / children + k log(num) questions.
    """
    heap = list(range(num))
    for root in reversed(range((num + children - 2) // children)):
        yield from _sift(heap, root, children, best)
    found = []
    for _ in range(min(k, num)):
        found.append(heap[0])
        last = heap.pop()
        if heap:
            heap[0] = last
            yield from _sift(heap, 0, children, best)
    return found


def _sift(heap: list[int], root: int, children: int, best: Best) -> Generator[list[Question], list[str], None]:
    while True:
        first = children * root + 1
        nodes = [root, *range(first, min(first + children, len(heap)))]
        if len(nodes) == 1:
            return
        nodes.sort(key=lambda node: heap[node])
        winner = nodes[(yield from best([heap[node] for node in nodes]))]
        if winner == root:
            return
        heap[root], heap[winner] = heap[winner], heap[root]
        root = winner


def bubble_top(num: int, k: int, width: int, best: Best) -> Ordering:
    """The best ``k`` of ``num`` candidates: ``k`` passes from the end, each carrying the best of a window to its front.

    About k num / (width - 1) questions. With ``width`` 2 it is the sliding of pairwise ranking prompting.
    """
    order = list(range(num))
    for done in range(min(k, num - 1)):
        end = num
        while end > done + 1:
            start = max(done, end - width)
            winner = start + (yield from best(order[start:end]))
            order.insert(start, order.pop(winner))
            end = start + 1
    return order[:k]
