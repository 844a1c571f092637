"""What a reader of a benchmark has to know before the numbers."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from harmless.guards.bench.model import GuardResult
from harmless.guards.bench.rows import Rows
from harmless.guards.registry import names


def notes(results: Sequence[GuardResult], rows: Rows) -> Iterator[str]:
    """Yield the caveats of a benchmark: training data, rows not seen, what could not be reached, one label."""
    guards = re.compile(rf"\b({'|'.join(trained_guards())})\b")
    trained = [each.spec for each in results if guards.search(each.spec)]
    if trained and (files := sorted(path.name for path in rows.files if _is_training_data(path))):
        yield (
            f"{' and '.join(files)} {'is' if len(files) == 1 else 'are'} training data of "
            f"{', '.join(trained)}: what is measured of it here is optimistic."
        )
    for each in results:
        if each.unseen and not each.counts.rows:
            sees = each.info.sees if each.info else ""
            yield f"{each.spec} judges a {sees} only, and no row has one to judge."
        elif each.unseen:
            yield f"{each.spec} was not asked about {each.unseen} rows, which it does not judge."
        if not each.reached:
            cause = next(iter(each.causes), "no cause given")
            yield f"{each.spec} could not be reached: {cause}."
        elif each.counts.unassessed:
            yield (
                f"{each.spec} left {each.counts.unassessed} of {each.counts.rows} rows unassessed; its "
                "measures are of the others, with the worst and best case beside them."
            )
    labels = {bool(row.unsafe) for row in rows.items}
    if len(labels) == 1:
        yield f"All rows are {'unsafe' if labels == {True} else 'safe'}: what needs both labels is not known."


def trained_guards() -> tuple[str, ...]:
    """Return the names of our guards that were trained on files: those whose artefacts tell digests, sorted."""
    # The heads of embedded are kept by the names of what they judge.
    return tuple(sorted({"embedded"} | ({*names()} & {name for name, told in _told() if told})))


def _is_training_data(path: Path) -> bool:
    try:
        content = path.read_bytes()
        plain = gzip.decompress(content) if path.suffix == ".gz" else content
    except OSError:
        return False
    return hashlib.sha256(plain).hexdigest() in set(_digests())


def _digests() -> Iterator[str]:
    """Yield the digests of all files that anything in the package was trained on, as its artefacts tell."""
    for _, told in _told():
        yield from told


def _told() -> Iterator[tuple[str, list[str]]]:
    """Yield the name of each artefact and the digests of the files that it was trained on."""
    for file in (resources.files("harmless.guards") / "artefacts").iterdir():
        if file.name.endswith(".json"):
            data = json.loads(file.read_text(encoding="utf-8")).get("data", {})
            yield file.name.removesuffix(".json"), [*data.get("digests", {}).values()]
