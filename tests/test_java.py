"""Which Java would start, and whether Pyserini can run on it, on folders that look like a JDK."""

from pathlib import Path

import pytest

from retkd import doctor, java
from retkd.errors import RetkdError

MODULES = "java.base jdk.incubator.vector"
PURPOSE = "the miner lucene"


def jdk(folder: Path, version: str = "21.0.4", modules: str = MODULES) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text("#!/bin/sh\n")
    (folder / "bin" / "java").chmod(0o755)
    (folder / "release").write_text(f'IMPLEMENTOR="made"\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    return folder


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(java, "FOLDERS", (str(tmp_path / "jvm"),))


@pytest.mark.parametrize(
    ("version", "modules", "problem"),
    [
        ("21.0.4", MODULES, None),
        ("25", MODULES, None),
        ("17.0.15", MODULES, "Java 17.0.15"),
        ("1.8.0_402", MODULES, "Java 1.8.0_402"),
        ("21.0.4", "java.base", "Java 21.0.4 without the module jdk.incubator.vector"),
    ],
)
def test_how_new_and_with_which_modules(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, modules: str, problem: str | None
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(jdk(tmp_path / "jdk", version, modules)))
    assert java.problem() == problem


def test_without_java_home_the_one_on_the_path_counts(tmp_path: Path) -> None:
    assert java.problem() == "no Java"
    home = jdk(tmp_path / "jdk", "17.0.15")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    assert java.home() == home
    assert java.problem() == "Java 17.0.15"


def test_a_folder_that_is_no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert java.problem() == f"no Java that tells its version in {tmp_path}"


def test_the_error_names_the_java_and_one_that_would_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = jdk(tmp_path / "old", "17.0.15")
    monkeypatch.setenv("JAVA_HOME", str(old))
    with pytest.raises(RetkdError) as error:
        java.require(PURPOSE)
    assert str(error.value) == (
        "the miner lucene cannot run on this Java\n"
        f"  where: JAVA_HOME={old}\n"
        f"  seen: Java 17.0.15 ({old})\n"
        "  allowed: Java 21 or newer with the module jdk.incubator.vector (a full JDK has it)\n"
        "  next step: install a JDK, Java 21 or newer with the module jdk.incubator.vector (a full JDK has it), and export "
        "JAVA_HOME=its folder (the one that holds bin/java)"
    )
    jdk(tmp_path / "jvm" / "java-17", "17.0.15")
    fitting = jdk(tmp_path / "jvm" / "java-25" / "Contents" / "Home", "25.0.3")
    with pytest.raises(RetkdError, match=f"next step: export JAVA_HOME={fitting}$"):
        java.require(PURPOSE)
    monkeypatch.setenv("JAVA_HOME", str(fitting))
    java.require(PURPOSE)


def test_no_java_at_all() -> None:
    with pytest.raises(RetkdError, match=r"where: the path \(no JAVA_HOME\)\n  seen: no Java\n"):
        java.require(PURPOSE)


def told_by_doctor() -> doctor.Finding:
    return next(finding for finding in doctor.findings() if finding.name == "java")


def test_doctor_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_device", lambda: doctor.Finding("device", True, "not asked here"))
    finding = told_by_doctor()
    assert (finding.ok, finding.needed) == (False, False)
    assert finding.told.startswith("no Java; the miner lucene needs Java 21 or newer")
    home = jdk(tmp_path / "jdk", "25.0.3")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert (told_by_doctor().ok, told_by_doctor().told) == (True, f"25.0.3 ({home})")
