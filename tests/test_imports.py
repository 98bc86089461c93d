"""Imports run one way: cli -> runner -> stages -> families -> candidates, batch, collections -> errors."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parents[1] / "retkd"
FAMILIES = (
    "miners",
    "selection",
    "teachers",
    "students",
    "losses",
    "objectives",
    "indexing",
    "evaluation",
    "exporters",
    "generators",
    "reporting",
)
ABOVE_STAGES = (
    "absent",
    "ask",
    "cli",
    "delivery",
    "doctor",
    "exchange",
    "expansion",
    "history",
    "keys",
    "kind_keys",
    "known_shapes",
    "plan",
    "recipe",
    "recipe_file",
    "recipes",
    "references",
    "runner",
    "screen",
    "shapes",
    "strategies",
    "summary",
)
"""What runs stages or reads whole recipes. It may import anything; nothing below imports it."""

EXCEPTIONS = {
    ("objectives", "losses"): "an objective is a few parameters around a pure function of losses",
    (
        "objectives",
        "students",
    ): "a term that cuts the vectors scores them as the student does, by the pure students.scoring",
}
"""(importer, imported) -> why one family may import another."""

GROUND = (
    *(
        "answers",
        "batch",
        "batching",
        "candidates",
        "chat_api",
        "digests",
        "errors",
        "llms",
        "parts",
        "prompt",
        "shards",
    ),
    *("stage", "token_budget", "topk", "workspace"),
)
"""What families stand on."""

HEAVY = ("torch", "transformers", "sentence_transformers", "datasets", "faiss", "onnx", "onnxruntime")


class Import(NamedTuple):
    """``module`` imports ``name``; ``level`` is module, function or typing (under ``if TYPE_CHECKING``)."""

    module: str
    name: str
    level: str


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports_of(path: Path) -> Iterator[Import]:
    """Every import of a file. ``from retkd import a`` is an import of ``retkd.a``."""
    module = module_name(path)

    def walk(node: ast.AST, level: str) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(module, alias.name, level) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{module} imports relatively"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    yield Import(module, whole if whole in MODULES else str(child.module), level)
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                yield from walk(child, "function" if level == "module" else level)
            elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
                yield from walk(child, "typing")
            else:
                yield from walk(child, level)

    return walk(ast.parse(path.read_text(encoding="utf-8")), "module")


FILES = sorted(PACKAGE.rglob("*.py"))
MODULES = {module_name(path) for path in FILES}
IMPORTS = [found for path in FILES for found in imports_of(path)]
OWN = [found for found in IMPORTS if found.name.split(".")[0] == "retkd"]


def top(module: str) -> str:
    """``retkd.miners.bm25`` -> miners, ``retkd.topk`` -> topk."""
    return [*module.split("."), ""][1]


def shown(found: list[Import]) -> list[str]:
    return sorted({f"{i.module} imports {i.name} ({i.level})" for i in found})


def test_the_walk_finds_what_is_there() -> None:
    assert len(FILES) > 100
    assert Import("retkd.miners.bm25", "retkd.stage", "module") in OWN
    assert Import("retkd.miners.bm25", "bm25s", "function") in IMPORTS
    assert Import("retkd.plan", "retkd.workspace", "module") in OWN
    assert Import("retkd.plan", "retkd.recipe", "typing") in OWN
    assert {top(module) for module in MODULES} >= {*FAMILIES, *ABOVE_STAGES, "stages", "collections", "errors"}


def test_errors_imports_nothing_of_retkd() -> None:
    assert shown([i for i in OWN if top(i.module) == "errors"]) == []


def test_families_do_not_import_each_other() -> None:
    pairs = {(top(i.module), top(i.name)) for i in OWN if top(i.module) in FAMILIES and top(i.name) in FAMILIES}
    pairs = {(one, other) for one, other in pairs if one != other}
    assert sorted(pairs - EXCEPTIONS.keys()) == []
    assert sorted(EXCEPTIONS.keys() - pairs) == [], "an exception that nothing needs"


def test_what_families_stand_on_imports_none_of_them() -> None:
    below = {"collections", "formats", *GROUND}
    assert {top(module) for module in MODULES} >= below
    assert shown([i for i in OWN if top(i.module) in below and top(i.name) in FAMILIES]) == []


def test_nothing_below_imports_what_runs_stages() -> None:
    """Type hints may."""
    above = {"stages", *ABOVE_STAGES}
    found = [i for i in OWN if top(i.module) not in {*above, ""} and top(i.name) in above]
    assert shown([i for i in found if i.level != "typing"]) == []


def test_stages_import_neither_the_runner_nor_the_command_line() -> None:
    found = [i for i in OWN if top(i.module) == "stages" and top(i.name) in ABOVE_STAGES]
    assert shown([i for i in found if i.level != "typing"]) == []


def test_the_command_line_is_imported_by_nothing() -> None:
    assert shown([i for i in OWN if top(i.name) == "cli" and top(i.module) != "cli"]) == []


def test_losses_and_scoring_import_torch_and_jaxtyping_alone() -> None:
    """And the standard library's math and typing, and each other."""
    found = [i for i in IMPORTS if top(i.module) == "losses" or i.module == "retkd.students.scoring"]
    assert len({i.module for i in found}) >= 4
    pure = ("torch", "jaxtyping", "math", "typing")
    assert shown([i for i in found if i.name.split(".")[0] not in pure and "retkd.losses." not in i.name]) == []


def test_importing_the_recipe_and_the_runner_loads_no_heavy_package() -> None:
    """So that `retkd status`, and a second run that does nothing, are quick."""
    code = f"import retkd.recipe, retkd.runner, sys; print([name for name in {HEAVY} if name in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent, check=True)
    assert told.stdout.strip() == "[]"
