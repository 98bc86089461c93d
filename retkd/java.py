"""The Java that Pyserini starts: where it is, how new, and whether it can run Lucene's vector code."""

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from retkd.errors import RetkdError

OLDEST = 21
MODULE = "jdk.incubator.vector"
NEEDED = f"Java {OLDEST} or newer with the module {MODULE} (a full JDK has it)"
FOLDERS = ("/usr/lib/jvm", "/Library/Java/JavaVirtualMachines", "~/.sdkman/candidates/java")


@dataclass(frozen=True)
class Java:
    """One Java: its home, its version (such as ``21.0.4``) and its modules, as its file ``release`` tells them."""

    home: Path
    version: str
    modules: frozenset[str]

    @property
    def problem(self) -> str | None:
        """Why Pyserini cannot run on it; None when it can."""
        major = self.version.removeprefix("1.").split(".")[0]
        if not major.isdigit() or int(major) < OLDEST:
            return f"Java {self.version}"
        return None if MODULE in self.modules else f"Java {self.version} without the module {MODULE}"


def read(home: Path) -> Java | None:
    """The Java in a folder; None where it has no ``bin/java`` or does not tell its version."""
    told = home / "release"
    if not (home / "bin" / "java").exists() or not told.is_file():
        return None
    fields = dict(re.findall(r'^(\w+)="(.*)"$', told.read_text(encoding="utf-8"), flags=re.MULTILINE))
    version = fields.get("JAVA_VERSION", "")
    return Java(home, version, frozenset(fields.get("MODULES", "").split())) if version else None


def home() -> Path | None:
    """The folder of the Java that starts here: JAVA_HOME, else that of ``java`` on the path; None where there is none."""
    named = os.environ.get("JAVA_HOME")
    if named:
        return Path(named)
    java = shutil.which("java")
    return Path(java).resolve().parents[1] if java else None


def problem() -> str | None:
    """Why Pyserini cannot run here; None when it can."""
    place = home()
    if place is None:
        return "no Java"
    java = read(place)
    return f"no Java that tells its version in {place}" if java is None else java.problem


def next_step() -> str:
    """How to set JAVA_HOME: to a fitting Java that is already here, if there is one."""
    fitting = [java for folder in FOLDERS for java in _below(Path(folder).expanduser()) if java.problem is None]
    if fitting:
        return f"export JAVA_HOME={fitting[0].home}"
    return f"install a JDK, {NEEDED}, and export JAVA_HOME=its folder (the one that holds bin/java)"


def require(purpose: str) -> None:
    """Raise :class:`RetkdError` unless Pyserini can run on the Java that would start here."""
    found = problem()
    if found:
        raise RetkdError(
            f"{purpose} cannot run on this Java",
            where=f"JAVA_HOME={os.environ['JAVA_HOME']}" if os.environ.get("JAVA_HOME") else "the path (no JAVA_HOME)",
            seen=found if home() is None else f"{found} ({home()})",
            allowed=NEEDED,
            next_step=next_step(),
        )


def _below(folder: Path) -> list[Java]:
    homes = [home for inner in sorted(folder.glob("*")) for home in (inner, inner / "Contents" / "Home")]
    return [java for java in map(read, homes) if java is not None]
