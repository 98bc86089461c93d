"""Run every recipe under pipelines/nightly, and every method that says what it expects; fail when a number is missed."""

import os
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.conversations import DATA, made_conversations

ROOT = Path(__file__).resolve().parents[1]
OUTCOMES = {0: "as expected", 2: "the recipe is not valid", 3: "missed an expected number"}


def main() -> int:
    """Exit code 0 only when every recipe ran and reached its numbers."""
    methods = [path for path in (ROOT / "pipelines" / "methods").rglob("*.yaml") if "\nexpected:" in path.read_text()]
    recipes = sorted([*(ROOT / "pipelines" / "nightly").rglob("*.yaml"), *methods])
    if not recipes:
        print("no recipe under pipelines/nightly", file=sys.stderr)
        return 1
    environment = os.environ | {"RETKD_DATA": str(DATA)}
    if (DATA / "xquad-clir").is_dir():
        environment["CONVERSATIONS"] = str(made_conversations(DATA / "xquad-clir", ROOT / "runs" / "conversations"))
    codes = {}
    for recipe in recipes:
        print(f"== {recipe.relative_to(ROOT)}", flush=True)
        command = [sys.executable, "-m", "retkd.cli", "run", str(recipe)]
        codes[recipe] = subprocess.run(command, cwd=ROOT, env=environment).returncode
    for recipe, code in codes.items():
        print(f"{recipe.stem}: {OUTCOMES.get(code, f'failed with exit code {code}')}")
    return 1 if any(codes.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
