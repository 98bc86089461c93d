"""The two heads of a student: one learns from labels, the other from a teacher."""

from typing import Literal, get_args

HeadName = Literal["labels", "teacher"]
HEADS: tuple[HeadName, ...] = get_args(HeadName)
"""In the order in which their vectors stand one behind the other."""
