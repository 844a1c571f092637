"""Reports on disk: all files of one, or none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from harmless.errors import UsageError


def replace(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write ``files`` (name -> text) into a folder and return their paths.

    Every file is written beside its place and moved there when all are complete: a reader never meets half a
    report. Raises UsageError if the folder cannot be written.
    """
    parts = {folder / name: folder / f".{name}.{os.getpid()}.part" for name in files}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, part in parts.items():
            part.write_text(files[path.name], encoding="utf-8", errors="backslashreplace", newline="\n")
        for path, part in parts.items():
            part.replace(path)
    except OSError as error:
        for part in parts.values():
            with suppress(OSError):
                part.unlink(missing_ok=True)
        raise UsageError(
            f"The report cannot be written to {folder}: {error.strerror or error}.",
            "Free some space or choose another --out.",
        ) from error
    return list(parts)
