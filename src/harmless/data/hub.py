"""Reading through Hugging Face ``datasets`` (extra ``data``): by public id, by address, from a clone."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harmless.data.catalog import Entry, Hub
from harmless.data.files import Row
from harmless.errors import BadFileError, MissingExtraError, UnreachableError, UsageError

_BUILDERS = {"jsonl": "json", "json": "json", "csv": "csv", "tsv": "csv", "txt": "text", "parquet": "parquet"}


def read_hub(
    entry: Entry, *, folder: Path | None = None, config: str | None = None, split: str | None = None
) -> Iterator[Row]:
    """Yield (number, row) of a set as it is published, or of a clone of its repository in ``folder``.

    Args:
        folder: a folder in the hub's layout; then nothing is fetched.
        config: instead of the entry's.
        split: instead of the entry's.

    Raises:
        MissingExtraError: ``datasets`` is not installed.
        UnreachableError: the hub is out of reach, or the set is gated.
        UsageError: the set has no such config or split, or is not published anywhere.
        BadFileError: a file of the folder is broken.
    """
    hub = entry.hub
    if hub is None:
        raise UsageError(
            f"'{entry.name}' is not published for download.", f"Give a file of it: {_option(entry)}."
        )
    table = _load(entry, hub, folder, config or hub.config, split or hub.split)
    return ((number, dict(row)) for number, row in enumerate(table, 1))


def _load(entry: Entry, hub: Hub, folder: Path | None, config: str | None, split: str) -> Any:
    try:
        import datasets
    except ImportError:
        raise MissingExtraError("Reading a data set from the hub", "data") from None
    where = str(folder or hub.id or hub.files[0])
    try:
        if folder is None and not hub.id:
            return datasets.load_dataset(**_files(hub))
        revision = {} if folder else {"revision": hub.revision}
        return datasets.load_dataset(where, config, split=split, data_dir=hub.data_dir, **revision)
    except ImportError:  # what datasets needs only for plain addresses
        raise MissingExtraError("Reading a file by its address", "data") from None
    except (datasets.exceptions.DatasetGenerationError, datasets.exceptions.DataFilesNotFoundError) as error:
        cause = error.__cause__ or error
        raise BadFileError(where, f"It cannot be read: {_first_line(cause)}") from None
    except ValueError as error:
        raise UsageError(f"{where}: {_first_line(error)}", "Choose another --config or --split.") from None
    except (OSError, datasets.exceptions.DatasetsError) as error:
        terms = "accept its terms on the hub and set HF_TOKEN, or " if hub.gated else ""
        columns = ", ".join(entry.columns[0].values())
        raise UnreachableError(
            f"{where} is out of reach: {_first_line(error)}.",
            f"If you have the data, {terms}give the file: {_option(entry)} (columns {columns}).",
        ) from None


def _option(entry: Entry) -> str:
    """Return the option that names a file of the set, which depends on the command."""
    return f"--path FILE, or --data {entry.name}=FILE for attack and defend"


def _files(hub: Hub) -> dict[str, Any]:
    kind = hub.files[0].lower().removesuffix(".gz").rpartition(".")[2]
    options = {"sep": "\t", "keep_default_na": False} if kind == "tsv" else {}
    return {"path": _BUILDERS[kind], "data_files": list(hub.files), "split": "train", **options}


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].removesuffix(".")


def quiet() -> None:
    """Silence the progress bars and the retry messages of the libraries below; for commands."""
    for name in ("datasets", "huggingface_hub"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        import datasets
    except ImportError:
        return
    datasets.disable_progress_bars()
