"""What a run would do, stage by stage, and why: skip, resume or run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retkd import workspace as ws
from retkd.absent import absent_model
from retkd.collections.base import Collection, chosen_splits, require_split
from retkd.collections.generated import WithTrainQueries
from retkd.digests import differences
from retkd.errors import RecipeError, in_recipe
from retkd.keys import key_inputs, key_of
from retkd.models import resolve
from retkd.references import files_of, inputs_of, model_folders, models_of, queries_of, run_order
from retkd.stage import Model

if TYPE_CHECKING:
    from retkd.recipe import Recipe


TRAINING = ("teach", "train")


@dataclass(frozen=True)
class Step:
    """One stage of a plan. ``artifact`` is None while its key depends on stages that have not run yet."""

    name: str
    kind: str
    action: str
    why: str
    told: Mapping[str, Any] | None = None
    artifact: Path | None = None

    @property
    def key(self) -> str:
        """The key, when it is known."""
        assert self.told is not None
        return key_of(self.told)


@dataclass
class Resolver:
    """Resolves collections, models and keys for one run, each once."""

    recipe: "Recipe"
    workspace: ws.Workspace
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[str, Path] = field(default_factory=dict)
    _collections: dict[str | None, Collection] = field(default_factory=dict)
    _generated: dict[str, Collection] = field(default_factory=dict)
    _models: dict[str, Model] = field(default_factory=dict)

    def collection(self, name: str) -> Collection:
        """The opened collection of a stage, with the generated queries that it reads."""
        base = self._collection(name)
        queries = queries_of(self.recipe.stages, name)
        if queries is None:
            return base
        if name not in self._generated:
            digest = self.manifests[queries]["digest"]
            self._generated[name] = WithTrainQueries(base, self.artifacts[queries], digest)
        return self._generated[name]

    def _collection(self, name: str) -> Collection:
        """The collection itself, without generated queries."""
        label = self.recipe.stages[name].collection
        if label not in self._collections:
            opened = self.recipe.collection_of(name).open(self.workspace.cached("collections"))
            at = ("collection",) if label is None else ("views" if label in self.recipe.views else "transfer", label)
            for split in opened.config.sample:
                require_split(split, opened.splits, self.recipe.where(*at, "sample", split))
            self._collections[label] = opened
        return self._collections[label]

    def require_splits(self, names: Sequence[str]) -> None:
        """Raise :class:`RecipeError` at once, not after an hour of mining, when a stage has no split to train or evaluate on.

        Evaluations first: those that are written have their lines, and the stages of their controls have splits from them.
        """
        for name in sorted(names, key=lambda name: self.recipe.stages[name].kind != "evaluate"):
            config = self.recipe.stages[name]
            splits = self._collection(name).splits
            if config.kind in ("mine", "evaluate") and queries_of(self.recipe.stages, name) is None:
                chosen_splits(self._collection(name), config.splits, self.recipe.where("stages", name, "splits"))
            generated = queries_of(self.recipe.stages, name)
            if config.kind in TRAINING and config.steps > 0 and "train" not in splits and generated is None:
                raise RecipeError(
                    f"the stage {name!r} trains on the split train, which the collection does not have",
                    where=f"recipe {self.recipe.name}, collection of kind {self.recipe.collection_of(name).kind}",
                    seen=f"splits: {', '.join(splits)}",
                    allowed="a collection with train queries and judgements (for beir: qrels/train.tsv)",
                    next_step="to evaluate there without training, put it under `transfer:` of a recipe that trains elsewhere",
                )

    def passed_over(self, names: Sequence[str]) -> list[str]:
        """Splits of the recipe's own collection that none of these stages reads: neither train, dev or test, nor named.

        Nor ``SPLIT.LANGUAGE``, the queries of another split in another language.
        """
        own = [name for name in names if self.recipe.stages[name].collection is None]
        written = [getattr(self.recipe.stages[name], "splits", []) for name in own]
        named = {"train", "dev", "test", *(split for splits in written if isinstance(splits, list) for split in splits)}
        splits = self._collection(own[0]).splits if own else ()
        return [split for split in splits if split not in named and split.rpartition(".")[0] not in splits]

    def require_files(self, names: Sequence[str]) -> None:
        """Raise :class:`RecipeError` with every file that one of these stages reads and that is not there.

        A run that serves every split is written without a split, so its key ends before the ``*``.
        """
        problems = [
            RecipeError(
                "there is no such file",
                where=self.recipe.where("stages", name, *key.split(".")),
                seen=path,
                allowed="a path from the folder that retkd is run in, or from the root",
                next_step=f"--set stages.{name}.{key}=PATH",
            )
            for name in names
            for key, path in ((k.removesuffix(".*"), p) for k, p in files_of(self.recipe.stages, name).items())
            if not Path(path).expanduser().is_file()
        ]
        self._require(problems)

    def lacks_models(self, name: str) -> bool:
        """Whether a stage reads a model that is not to be had, so that nobody can tell whether it stands."""
        found = models_of(self.recipe.stages, name).values()
        return any(absent_model(ref, self.workspace.digests) is not None for ref in found)

    def require_models(self, names: Sequence[str]) -> None:
        """Raise :class:`RecipeError` with every model that these stages read and that is not to be had, where it stands first."""
        digests = self.workspace.digests
        told: dict[str, str] = {}
        for name in names:
            for key, ref in models_of(self.recipe.stages, name).items():
                told.setdefault(ref, self.recipe.where("stages", name, *key.split(".")))
        missing = {ref: absent_model(ref, digests) for ref in told}
        self._require([in_recipe(error, told[ref], ref) for ref, error in missing.items() if error is not None])

    def _require(self, problems: list[RecipeError]) -> None:
        if problems:
            told = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
            raise RecipeError(f"the recipe {self.recipe.name} cannot be run: {told}", problems=problems)

    def files(self, name: str) -> dict[str, str]:
        """Path as written -> SHA-256 of the content, of each file that a stage reads."""
        self.require_files([name])
        paths = files_of(self.recipe.stages, name).values()
        return {path: self.workspace.digests.file(Path(path).expanduser()) for path in paths}

    def models(self, name: str) -> dict[str, Model]:
        """Every model that a stage names: outside ones, and ``model/`` of the stages that train one."""
        for ref in models_of(self.recipe.stages, name).values():
            if ref not in self._models:
                self._models[ref] = resolve(ref, self.workspace.digests)
        found = {ref: self._models[ref] for ref in models_of(self.recipe.stages, name).values()}
        for other in inputs_of(self.recipe.stages, name):
            folder = self.artifacts[other] / "model"
            if folder.is_dir():
                found[other] = Model(other, folder, self.workspace.digests.model(folder))
        for ref, (stage, inside) in model_folders(self.recipe.stages, name).items():
            folder = self.artifacts[stage] / inside
            found[ref] = Model(ref, folder, self.workspace.digests.model(folder))
        return found

    def step(self, name: str) -> Step:
        """What to do for one stage, given the stages that already stand."""
        kind = self.recipe.stages[name].kind
        waiting = [other for other in inputs_of(self.recipe.stages, name) if other not in self.manifests]
        if waiting:
            return Step(name, kind, "run", f"after {', '.join(waiting)}")
        digests = {other: self.manifests[other]["digest"] for other in inputs_of(self.recipe.stages, name)}
        collection = self.collection(name).all_splits_digest
        told = key_inputs(self.recipe, name, collection, digests, self.models(name), self.files(name))
        artifact = self.workspace.artifact(kind, key_of(told))
        if ws.stands(artifact):
            return Step(name, kind, "skip", "stands", told, artifact)
        if ws.manifest(artifact) is not None:
            return Step(
                name, kind, "run", "outputs are missing or have another size than the manifest says", told, artifact
            )
        if artifact.is_dir():
            why = "another process is at work here" if ws.busy(artifact) else "an earlier run was cut short here"
            return Step(name, kind, "resume", why, told, artifact)
        return Step(name, kind, "run", self._why(name, told), told, artifact)

    def stand(self, step: Step) -> None:
        """Take a stage's published artifact as the input of those that follow."""
        assert step.artifact is not None
        told = ws.manifest(step.artifact)
        assert told is not None
        self.artifacts[step.name] = step.artifact
        self.manifests[step.name] = told

    def _why(self, name: str, told: Mapping[str, Any]) -> str:
        folder = self.workspace.stages(self.recipe.name).get(name)
        earlier = ws.manifest(self.workspace.root / "artifacts" / folder) if folder else None
        if earlier is None:
            return "never ran"
        return "; ".join(differences(earlier["key_inputs"], told)) or "its artifact was removed"


def chosen(recipe: "Recipe", only: str | None = None, until: str | None = None, from_: str | None = None) -> list[str]:
    """The stages to run, in order.

    ``only`` is a stage or a kind; ``until`` stops after that stage; ``from_`` leaves out what stands before it.
    """
    from retkd.errors import did_you_mean

    order = run_order(recipe.stages)
    for name in (until, from_):
        if name is not None and name not in order:
            raise RecipeError(f"the recipe has no stage {name!r}", seen=name, next_step=did_you_mean(name, order))
    if only is not None and (until is not None or from_ is not None):
        raise RecipeError(
            "--only goes without --until and --from", seen=f"--only {only}", next_step="leave one of them out"
        )
    if only is not None:
        found = [name for name in order if only in (name, recipe.stages[name].kind)]
        if not found:
            kinds = {config.kind for config in recipe.stages.values()}
            raise RecipeError(
                f"no stage is named or of kind {only!r}", seen=only, next_step=did_you_mean(only, {*order, *kinds})
            )
        return found
    if until is not None and from_ is not None and until in _before(recipe, from_):
        raise RecipeError(
            f"nothing is selected: {until} is before {from_}",
            seen=f"--from {from_} --until {until}",
            next_step=f"--from {until} --until {from_} runs what lies between them",
        )
    if until is not None:
        order = [name for name in order if name == until or name in _before(recipe, until)]
    if from_ is not None:
        order = [name for name in order if name not in _before(recipe, from_)]
    return order


def _before(recipe: "Recipe", name: str) -> set[str]:
    direct = inputs_of(recipe.stages, name)
    return {*direct, *(far for other in direct for far in _before(recipe, other))}
