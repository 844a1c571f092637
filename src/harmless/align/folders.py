"""Folders that a training writes: new ones, empty ones, and those that the same kind of training began."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harmless.errors import UsageError


def assert_free(folder: Path, begun: Iterable[str], spec: str) -> None:
    """Stop before a folder that holds something else is written into.

    Args:
        folder: what is to be written.
        begun: files or folders of which one is in a folder that the same kind of training began.
        spec: the model that is trained.

    Raises:
        UsageError: the folder is a file or in one, is that of the model, or holds what no training wrote.
    """
    file = next((each for each in (folder, *folder.parents) if each.is_file()), None)
    if file:
        raise UsageError(f"{file} is a file and no folder.", "Choose another --out.")
    if folder.resolve() == Path(spec.partition(":")[2] or spec).resolve():
        raise UsageError(f"{folder} is the folder of the model itself.", "Choose another --out.")
    ours = any((folder / name).exists() for name in begun)
    if not ours and any(each.is_file() for each in folder.rglob("*")):
        raise UsageError(f"{folder} holds files that no training wrote.", "Choose another --out, or empty it.")
