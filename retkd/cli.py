"""The command line: run, status, verify, ls, cp, validate, search, history, doctor, and one alias per stage."""

import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from retkd.errors import RetkdError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Retrieval distillation, from mining to export.",
    rich_markup_mode=None,
)

RecipePath = Annotated[Path, typer.Argument(help="a recipe file, or the name of one that `retkd ls` shows")]
Set = Annotated[list[str], typer.Option("--set", help="key=value, dotted; may be given several times")]
Seed = Annotated[int | None, typer.Option("--seed", help="overrides the recipe's seed")]
WorkspacePath = Annotated[Path, typer.Option("--workspace", envvar="RETKD_WORKSPACE", help="where runs are kept")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="print what would run, and why")]
WORKSPACE = Path("runs")
QUIET = {"TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "true"}
"""Other libraries' bars and advice would hide ours."""


def _recipe(path: Path, overrides: list[str], seed: int | None = None) -> Any:
    from retkd.recipe import load
    from retkd.recipes import located

    return load(located(path), overrides, seed)


def _workspace(path: Path) -> Any:
    from retkd.workspace import Workspace

    return Workspace(path)


@app.command()
def run(
    recipe: RecipePath,
    set_: Set = [],
    seed: Seed = None,
    workspace: WorkspacePath = WORKSPACE,
    only: Annotated[str | None, typer.Option(help="this stage, or all stages of this kind")] = None,
    until: Annotated[str | None, typer.Option(help="stop after this stage")] = None,
    from_: Annotated[str | None, typer.Option("--from", help="begin with this stage; what it reads must stand")] = None,
    dry_run: DryRun = False,
) -> None:
    """Run a recipe: skip what stands, resume what was cut short, run the rest."""
    from retkd import processes, runner, screen
    from retkd.plan import chosen

    loaded, space = _recipe(recipe, set_, seed), _workspace(workspace)
    names = chosen(loaded, only, until, from_)
    if not processes.is_first():
        if not dry_run:
            runner.follow(loaded, space)
            processes.leave()
        return
    if dry_run:
        screen.plan(runner.plan(loaded, space, names))
        return
    whole = only is None and until is None and from_ is None
    screen.greeting(loaded, space, names, as_written=whole and not any(s.startswith("collection.") for s in set_))
    began = time.monotonic()
    with screen.interruptible():
        told = runner.run(loaded, space, names, on_step=screen.counted(names))
    processes.leave()
    screen.result(told, space, time.monotonic() - began)
    if any(line["outcome"] == "fail" for line in told["expected"]) and told["complete"]:
        raise typer.Exit(3)


@app.command()
def status(recipe: RecipePath, set_: Set = [], seed: Seed = None, workspace: WorkspacePath = WORKSPACE) -> None:
    """Say of each stage whether it stands, and if not, what changed. By keys and sizes: `retkd verify` reads the contents."""
    from retkd import runner, screen

    screen.plan(runner.plan(_recipe(recipe, set_, seed), _workspace(workspace)))


@app.command()
def verify(
    recipe: Annotated[Path | None, typer.Argument(help="a recipe; default: every artifact of the workspace")] = None,
    set_: Set = [],
    seed: Seed = None,
    workspace: WorkspacePath = WORKSPACE,
) -> None:
    """Hash every output again and compare with the manifests. Exit 1 when anything differs; unfinished work is no damage."""
    from retkd import runner
    from retkd.repair import next_step
    from retkd.workspace import damage, unfinished

    space = _workspace(workspace)
    if recipe is None:
        artifacts = sorted((space.root / "artifacts").glob("*-*/"))
    else:
        artifacts = [step.artifact for step in runner.plan(_recipe(recipe, set_, seed), space) if step.artifact]
    artifacts = [artifact for artifact in artifacts if artifact.is_dir()]
    if not artifacts:
        raise RetkdError("there is nothing to verify", where=space.root, next_step="retkd run RECIPE")
    waiting = {artifact: why for artifact in artifacts if (why := unfinished(artifact))}
    wrong = {artifact: damage(artifact) for artifact in artifacts if artifact not in waiting}
    found = [line for lines in wrong.values() for line in lines]
    for line in [*(f"{artifact.name}: {why}" for artifact, why in waiting.items()), *found]:
        typer.echo(line)
    for artifact in (artifact for artifact, lines in wrong.items() if lines):
        typer.echo(f"next step: {next_step(artifact)}")
    more = f", {len(waiting)} unfinished" if waiting else ""
    typer.echo(f"{len(artifacts) - len(waiting)} artifacts, {len(found)} problems{more}")
    if found:
        raise typer.Exit(1)


@app.command()
def validate(
    recipe: RecipePath, set_: Set = [], show: Annotated[bool, typer.Option(help="print the whole recipe")] = False
) -> None:
    """Check a recipe without running anything, and say what it names and this machine does not have."""
    import yaml

    from retkd.absent import absent

    loaded = _recipe(recipe, set_)
    typer.echo(f"{recipe}: valid, {len(loaded.stages)} stages: {', '.join(loaded.stages)}")
    for line in absent(loaded, _workspace(WORKSPACE).digests):
        typer.echo(f"not here: {line}")
    if show:
        typer.echo(yaml.safe_dump(json.loads(loaded.model_dump_json()), sort_keys=False, allow_unicode=True))


@app.command("ls")
def list_(
    what: Annotated[
        str, typer.Argument(help="recipes, indexes, formats, kinds, a family, a kind, or a key")
    ] = "recipes",
) -> None:
    """List the recipes, the index recipes, the formats of other tools, the kinds of parts, or the keys of one kind or key."""
    from retkd import recipes, screen

    listings = {
        "recipes": recipes.listed,
        "indexes": recipes.listed_indexes,
        "formats": recipes.listed_formats,
        "kinds": recipes.kinds,
    }
    screen.pairs(listings[what]() if what in listings else recipes.keys(what))


@app.command("cp")
def copy(
    source: Annotated[
        str, typer.Argument(help="a recipe that `retkd ls` shows; with --to, a stage, an artifact or a .parquet file")
    ],
    target: Annotated[Path | None, typer.Argument(help="the file or folder to write")] = None,
    to: Annotated[str | None, typer.Option(help="training file of another tool: `retkd ls formats`")] = None,
    recipe: Annotated[str | None, typer.Option(help="whose stage and texts; default: the latest run")] = None,
    split: Annotated[str, typer.Option(help="which split's candidates")] = "train",
    teacher: Annotated[str | None, typer.Option(help="whose scores; may be left out when there is one")] = None,
    negatives: Annotated[int | None, typer.Option(min=1, help="exactly this many negatives in each list")] = None,
    workspace: WorkspacePath = WORKSPACE,
) -> None:
    """Copy a recipe to a file of your own; or, with --to, candidates to the training file of another tool."""
    if to is not None:
        from retkd import screen
        from retkd.exchange import copy_candidates

        screen.copied(
            copy_candidates(
                source, target, to, workspace, recipe=recipe, split=split, teacher=teacher, num_negatives=negatives
            )
        )
    elif target is None:
        raise RetkdError(
            "cp needs a target for a recipe, or --to FORMAT for candidates",
            next_step="retkd cp quickstart my.yaml, or retkd cp select --to flagembedding",
        )
    else:
        _copy_recipe(source, target)


def _copy_recipe(recipe: str, target: Path) -> None:
    from retkd.recipes import copied, located

    source = located(Path(recipe))
    if target.exists():
        raise RetkdError(
            "the target exists already; nothing was written", where=target, next_step="choose another name"
        )
    if not target.parent.is_dir():
        raise RetkdError("the target's folder does not exist; nothing was written", where=target.parent)
    target.write_text(copied(source, target), encoding="utf-8")
    typer.echo(f"{source.name} -> {target}, named {target.stem}: its results will lie under runs/{target.stem}")


@app.command()
def search(
    query: Annotated[str, typer.Argument(help="what to look for")],
    recipe: Annotated[str | None, typer.Option(help="name of the recipe; default: the latest run")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="how many documents")] = 5,
    workspace: WorkspacePath = WORKSPACE,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per line")] = False,
) -> None:
    """Ask the student of the latest run, or of a recipe."""
    from retkd import screen
    from retkd.ask import ask, whose
    from retkd.progress import say

    found = ask(query, workspace, recipe, k)
    if recipe is None:
        say(f"{whose(workspace)}; another: --recipe NAME")
    screen.answers(found, as_json)


@app.command()
def history(workspace: WorkspacePath = WORKSPACE, measure: str = "nDCG@10") -> None:
    """Tabulate the summaries of past runs that were kept under <workspace>/history."""
    from retkd import screen
    from retkd.history import rows

    screen.history(rows(workspace, measure), measure)


@app.command()
def doctor() -> None:
    """Say what is installed and what this machine can do. Exit 1 when something needed is missing."""
    from retkd import screen
    from retkd.doctor import findings

    found = findings()
    screen.pairs(
        [(f"{'ok' if line.ok else 'MISSING' if line.needed else 'absent'}: {line.name}", line.told) for line in found]
    )
    if any(line.needed and not line.ok for line in found):
        raise typer.Exit(1)


def _alias(kind: str) -> None:
    def stage(
        recipe: RecipePath,
        set_: Set = [],
        seed: Seed = None,
        workspace: WorkspacePath = WORKSPACE,
        dry_run: DryRun = False,
    ) -> None:
        run(recipe, set_, seed, workspace, only=kind, until=None, from_=None, dry_run=dry_run)

    app.command(kind, help=f"Run the stages of kind {kind} alone: `retkd run RECIPE --only {kind}`.")(stage)


for _kind in (
    "generate",
    "mine",
    "teach",
    "score",
    "select",
    "sparsify",
    "rank_students",
    "train",
    "choose",
    "partner",
    "index",
    "evaluate",
    "export",
    "report",
):
    _alias(_kind)


def main() -> None:
    """Entry point: a RetkdError is printed as it is, without a traceback, and gives its exit code."""
    from retkd import processes

    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except RetkdError as error:
        place = "" if processes.is_first() else f" in process {processes.number()}"
        print(f"error{place}: {error.render()}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
