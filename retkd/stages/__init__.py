"""The stages: ``kind`` -> module. Each module declares NAME, VERSION, SEEDED, VOLATILE, OUTPUTS, Config and run."""

from types import ModuleType
from typing import Any

from retkd.parts import one_of
from retkd.stages import (
    choose,
    evaluate,
    export,
    generate,
    index,
    mine,
    partner,
    rank_students,
    report,
    score,
    select,
    sparsify,
    teach,
    train,
)

STAGES: dict[str, ModuleType] = {
    module.NAME: module
    for module in (
        generate,
        mine,
        teach,
        score,
        select,
        sparsify,
        rank_students,
        train,
        choose,
        partner,
        index,
        evaluate,
        export,
        report,
    )
}

AnyStage: Any = one_of({name: module.Config for name, module in STAGES.items()})
