"""What a screening leaves in a folder: rows to keep, rows put aside with their reasons, and a card."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harmless.errors import UsageError
from harmless.screen.screening import Screening

KEPT, QUARANTINED, CARD = "kept.jsonl", "quarantined.jsonl", "card.json"


def write(folder: Path, rows: Sequence[Mapping[str, Any]], found: Screening) -> None:
    """Write every row, unchanged, into ``kept.jsonl`` or, with ``screening`` added, ``quarantined.jsonl``.

    Args:
        folder: made if it is not there; files of the same name are replaced.
        rows: what was screened, in the order of ``found``.

    Raises:
        UsageError: it cannot be written.
    """
    aside = (
        {**rows[i], "screening": [each.model_dump(mode="json") for each in found.reasons[i]]}
        for i in found.quarantined
    )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(folder / KEPT, (rows[i] for i in found.kept))
        _write(folder / QUARANTINED, aside)
        card = json.dumps(found.card(), ensure_ascii=False, indent=1)
        (folder / CARD).write_text(card + "\n", encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror}.", "Choose another --out.") from None


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    with path.open("wb") as file:
        file.writelines(_line(row) for row in rows)


def _line(row: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(row, ensure_ascii=False, default=str).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which only an escape can hold
        return json.dumps(row, default=str).encode() + b"\n"
