"""README names every part that a recipe can name: who looks for a method finds it there."""

import re
from pathlib import Path

import pytest

from retkd.recipes import kinds

ROOT = Path(__file__).parents[1]
README = re.sub(r"^```.*?^```", "", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
OF_PARTS = ("calibrations", "weightings", "llms", "batches", "query_towers", "sparse_query_towers", "index recipes")
"""Families that stand inside another part; `retkd ls` tells them."""
FAMILIES = {family: known.split(", ") for family, known in kinds() if family not in ("recipe", *OF_PARTS)}


TOLD = set(re.findall(r"\w+", " ".join(re.findall(r"`[^`\n]+`|^\| \w+[^|]*", README, re.MULTILINE))))
"""Words in code, and those that begin a row of a table."""


@pytest.mark.parametrize("family", FAMILIES)
def test_every_kind_stands_in_the_readme(family: str) -> None:
    assert FAMILIES[family]
    assert sorted(set(FAMILIES[family]) - TOLD) == []
