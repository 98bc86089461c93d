"""PLACEHOLDER so that retkd.stages imports; the owner of this file replaces it whole."""

from typing import Literal

from retkd.stage import StageConfig

NAME, VERSION, SEEDED, VOLATILE, OUTPUTS = "export", 1, False, (), ("export",)


class Config(StageConfig):
    kind: Literal["export"] = "export"
