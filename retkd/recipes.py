"""The recipes and index recipes that come with retkd, and every kind that a recipe can name."""

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

from retkd.errors import RecipeError, meant
from retkd.shipped import folder


def located(path: Path) -> Path:
    """The file itself, or the recipe that comes with retkd under this name. Raises :class:`RecipeError`."""
    if path.is_file():
        return path
    known = dict(_recipes())
    name = path.as_posix().removeprefix("pipelines/").removesuffix(".yaml")
    if name in known:
        return known[name]
    raise RecipeError(
        "there is no such recipe",
        where=path,
        allowed="a file, or a name that `retkd ls` shows",
        next_step=meant(name, known) or "`retkd ls` shows every name and its purpose",
    )


def text_of(path: Path) -> str:
    """What a recipe's file holds. Raises :class:`RecipeError` where that is no UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        content = error.object
        line = 1 + content.count(b"\n", 0, error.start)
        utf16 = ", which begins UTF-16" if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) else ""
        raise RecipeError(
            "the recipe is not UTF-8",
            where=f"{path}:{line}",
            seen=f"the byte {content[error.start]:02x}{utf16}",
            next_step="save it as UTF-8",
        ) from error


def _recipes() -> Iterator[tuple[str, Path]]:
    root = folder("pipelines")
    for path in sorted(root.rglob("*.yaml")):
        yield path.relative_to(root).with_suffix("").as_posix(), path


HEADER = re.compile(r"[A-Z][a-z]+( \([^)]*\))?:")
"""What begins another line of a file's head, such as ``Command:`` or ``Expected (seed 13):``."""


def headline(path: Path) -> str:
    """What a YAML file's head tells first, its purpose: up to the next line that begins with a word and a colon."""
    comments = takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    first, *rest = [line.removeprefix("#").strip() for line in comments] or [""]
    return " ".join([first.removeprefix("Purpose:").strip(), *takewhile(lambda line: not _begins(line), rest)])


def _begins(line: str) -> bool:
    return not line or HEADER.match(line) is not None


def copied(source: Path, target: Path) -> str:
    """The text of a recipe that is copied to ``target``.

    Its `name` becomes the file's, so that the runs do not mix, and the commands of its head name the copy. What it extends
    is named as `retkd ls` does, for another file may stand where the copy's path would lead. Its expected numbers become a
    comment: a copy is there to be changed, and then they hold no more.
    """
    command, own = f"retkd run {target}", rf"^(#.*: +)retkd run (?:\S*/)?{re.escape(source.stem)}(?:\.yaml)?(?!\S)"
    head = f"# Command: {command}   (a copy of {source.name}, whose numbers follow)"
    hint = f"# What {source.name} reaches; without the `# ` of these lines the copy has to reach it too.\n"
    text = text_of(source)
    text = re.sub(r"^name: .*$", f"name: {target.stem}", text, flags=re.MULTILINE)
    text = re.sub(
        r"^extends: (\S+)$", lambda found: f"extends: {_known_as(source, found[1])}", text, flags=re.MULTILINE
    )
    text = re.sub(r"^# Command: .*$", lambda found: head, text, flags=re.MULTILINE)
    text = re.sub(own, lambda found: found[1] + command, text, flags=re.MULTILINE)
    numbers = re.compile(r"^expected:.*\n?(?: .*\n?)*", flags=re.MULTILINE)
    return numbers.sub(lambda found: hint + re.sub(r"^(?=.)", "# ", found[0], flags=re.MULTILINE), text)


def _known_as(source: Path, extended: str) -> str:
    """The name of the recipe that comes with retkd and that ``source`` extends; the path as written where it is none."""
    path = (source.parent / extended).resolve()
    return next((name for name, known in _recipes() if known.resolve() == path), extended)


def listed() -> list[tuple[str, str]]:
    """(name, purpose) of every recipe."""
    return [(name, headline(path)) for name, path in _recipes()]


def listed_indexes() -> list[tuple[str, str]]:
    """(name, purpose) of every index recipe."""
    return [(path.stem, headline(path)) for path in sorted(folder("indexes").glob("*.yaml"))]


def listed_formats() -> list[tuple[str, str]]:
    """(name, whose it is and what it loses) of every training file of another tool."""
    from retkd.formats import FORMATS

    return [(name, f"{form.tool}. Loses {form.loses}") for name, form in FORMATS.items()]


def kinds() -> list[tuple[str, str]]:
    """(family, its kinds), the keys of a recipe first."""
    families = {"recipe": _recipe_keys(), **all_families()}
    return [(family, ", ".join(known)) for family, known in families.items()]


def keys(word: str) -> list[tuple[str, str]]:
    """(key, what it takes) of a kind, or of several of that name in different families; else of a key of a recipe; else
    of every kind that has that key. Of a family (kind, what it is); of a recipe, an index recipe or a format its purpose.
    Raises :class:`RecipeError`.
    """
    families, named = all_families(), _named()
    if word == "kind":
        return _kind_itself(families)
    rows = (
        _of_kinds(word, families)
        or _of_recipe(word)
        or [*_of_key(word, families), *_of_family(word, families)]
        or [
            (f"{list_}: {name}", purpose)
            for list_, purposes in named.items()
            for name, purpose in purposes.items()
            if word in (name, name.rpartition("/")[2])
        ]
    )
    if not rows:
        raise _nothing(word, {*_recipe_keys(), *families, *chain(*families.values(), *named.values())})
    return rows


def _kind_itself(families: dict[str, Any]) -> list[tuple[str, str]]:
    told = "the name of a part in its family, which every part has: it says which other keys stand beside it"
    return [("kind", told), ("families", f"{', '.join(families)}; `retkd ls FAMILY` tells the kinds of one")]


def _nothing(word: str, known: set[str]) -> RecipeError:
    lists = ("recipes", "indexes", "formats", "kinds")
    return RecipeError(
        "nothing of that name can be listed",
        seen=word,
        allowed=f"{', '.join(lists)}; a name that one of these shows; a family such as objectives; a key of a recipe",
        next_step=meant(word, {*lists, *known}) or "`retkd ls kinds` shows the families and all their kinds",
    )


def _named() -> dict[str, dict[str, str]]:
    """List -> name -> purpose of what is listed and has no keys."""
    return {"recipe": dict(listed()), "index recipe": dict(listed_indexes()), "format": dict(listed_formats())}


def _of_family(family: str, families: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        (f"{family}: {kind}", plain((_configuration(part).__doc__ or "").partition("\n\n")[0]))
        for kind, part in families.get(family, {}).items()
    ]


def _of_kinds(kind: str, families: dict[str, Any]) -> list[tuple[str, str]]:
    from retkd.kind_keys import told

    rows = []
    for family, known in families.items():
        if kind in known:
            part = _configuration(known[kind])
            rows.append((f"{family}: {kind}", plain(part.__doc__ or "")))
            rows += [(f"  {name}", words) for name, words in told(part)]
    return rows


def _of_recipe(key: str) -> list[tuple[str, str]]:
    from retkd.kind_keys import field_told, told_below

    field = _recipe_keys().get(key)
    return [] if field is None else [(f"recipe: {key}", field_told(field)), *told_below(field)]


def _of_key(key: str, families: dict[str, Any]) -> list[tuple[str, str]]:
    from retkd.kind_keys import field_told

    parts = {
        f"{family}: {kind}": _configuration(part) for family, known in families.items() for kind, part in known.items()
    }
    return [
        (f"{name}.{key}", field_told(part.model_fields[key]))
        for name, part in parts.items()
        if key in part.model_fields
    ]


def _configuration(part: Any) -> Any:
    """The part itself; of a stage its ``Config``."""
    return getattr(part, "Config", part)


def _recipe_keys() -> dict[str, Any]:
    from retkd.recipe import Recipe

    return dict(Recipe.model_fields)


def plain(docstring: str) -> str:
    """A docstring in one line, without its markup.

    >>> plain(":func:`retkd.losses.listwise.kl` with ``T``.")
    'retkd.losses.listwise.kl with T.'
    """
    return re.sub(r":\w+:`([^`]*)`", r"\1", " ".join(docstring.split())).replace("`", "")


def all_families() -> dict[str, Any]:
    """Family -> kind -> the part, or the module of a stage."""
    from retkd.collections import COLLECTIONS
    from retkd.evaluation.systems import SYSTEMS
    from retkd.exporters import EXPORTERS
    from retkd.generators import GENERATORS
    from retkd.indexing import INDEXES
    from retkd.llms import LLMS
    from retkd.miners import MINERS
    from retkd.objectives import OBJECTIVES
    from retkd.selection import FILTERS, LABELS, SAMPLERS
    from retkd.selection.targets import TARGETS
    from retkd.stages import STAGES
    from retkd.students import STUDENTS
    from retkd.students.adaptations import ADAPTATIONS
    from retkd.students.asymmetric import QUERY_TOWERS
    from retkd.students.asymmetric_sparse import SPARSE_QUERY_TOWERS
    from retkd.students.steps import INHERITANCES
    from retkd.teachers import TEACHERS
    from retkd.teachers.calibration import CALIBRATIONS
    from retkd.teachers.weighting import WEIGHTINGS
    from retkd.training.partners import PARTNERS
    from retkd.training.query_order import BATCHES

    return {
        "stages": STAGES,
        "collections": COLLECTIONS,
        "miners": MINERS,
        "teachers": TEACHERS,
        "calibrations": CALIBRATIONS,
        "weightings": WEIGHTINGS,
        "llms": LLMS,
        "generators": GENERATORS,
        "filters": FILTERS,
        "samplers": SAMPLERS,
        "targets": TARGETS,
        "labels": LABELS,
        "batches": BATCHES,
        "students": STUDENTS,
        "inheritances": INHERITANCES,
        "adaptations": ADAPTATIONS,
        "query_towers": QUERY_TOWERS,
        "sparse_query_towers": SPARSE_QUERY_TOWERS,
        "objectives": OBJECTIVES,
        "partners": PARTNERS,
        "index recipes": INDEXES,
        "systems": SYSTEMS,
        "exporters": EXPORTERS,
    }
