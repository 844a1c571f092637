"""Load training rows by path or by public id, and leave out what may not be trained on."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from harmless.errors import BadFileError, MissingExtraError, UsageError

_OPTION = re.compile(r"(?:^|;\s*)([A-E])\.\s*")


@dataclass(frozen=True)
class Row:
    """One prompt, or one prompt with a reply; ``unsafe`` is None where there is no label of harm.

    ``domain`` is a SALAD-Bench domain (``O1`` to ``O6``) or empty; ``goal`` and ``model`` group replies for
    cross-validation; ``votes`` is the share of human raters who said unsafe, None where a machine judged.
    """

    prompt: str
    reply: str | None = None
    unsafe: bool | None = None
    source: str = ""
    licence: str = ""
    domain: str = ""
    goal: str = ""
    model: str = ""
    attack: str = ""
    substring: bool | None = None
    votes: float | None = None


@dataclass
class Rows:
    """Rows by source name, the digest of what was read, and how many were left out and why."""

    by_source: dict[str, list[Row]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def licences(self) -> list[str]:
        """The licences of all rows that were kept, sorted."""
        return sorted({row.licence for rows in self.by_source.values() for row in rows})


def load(data: Path | None = None, *, only_measure: bool = False) -> Rows:
    """Return the rows of all sources: files in the folder ``data``, or the hub if it is None.

    With ``only_measure`` rows under refused licences are returned instead of the others: false positives may
    be measured on them. A source without a file in ``data`` is an error that names the file.

    Raises:
        BadFileError: a file is missing or not JSON Lines.
        MissingExtraError: ``data`` is None and the package ``datasets`` is not installed.
    """
    rows = Rows()
    for name, source in _catalogue()["sources"].items():
        if source.get("optional") and not (data and (data / source["file"]).exists()):
            continue
        raw, rows.digests[name] = _raw(name, source, data)
        rows.by_source[name] = []
        for record in raw:
            merged = {**record, **{k: v for k, v in source.get("set", {}).items() if record.get(k) is None}}
            if any(merged.get(column) != value for column, value in source.get("keep", {}).items()):
                continue
            reason = refused(merged)
            rows.left_out.update([reason] if reason else [])
            if bool(reason) == only_measure:
                rows.by_source[name].extend(_read(source["kind"], merged))
    return rows


def labelled_injections(data: Path | None = None) -> list[Row]:
    """Return injections and jailbreaks (``unsafe``), and ordinary prompts, under free licences.

    ``goal`` is the split of the set, ``train`` or ``test``. Raises as :func:`load`.
    """
    found = []
    for name, source in _catalogue()["injections"].items():
        for record in _raw(name, source, data)[0]:
            merged = {**source.get("set", {}), **record}
            if not refused(merged):
                origin = Row(str(merged["text"]), source=str(merged["source"]), licence=str(merged["licence"]))
                found.append(
                    replace(origin, unsafe=bool(merged["label"]), goal=str(merged.get("split", "train")))
                )
    return found


def leaf_of_choices(data: Path | None = None) -> dict[str, str]:
    """Return the key of the leaf of every question of SALAD-Bench's multiple choice; raises as :func:`load`."""
    raw, _ = _raw("choices", _catalogue()["sources"]["choices"], data)
    return {
        str(record["query"]): f"salad.c.{str(record['3-category']).partition(':')[0]}"
        for record in raw
        if record.get("3-category")
    }


def refused(record: Mapping[str, Any]) -> str:
    """Return why a record may not be trained on, or an empty string."""
    licence, source = str(record.get("licence", "unknown")), str(record.get("source", ""))
    if any(mark in licence for mark in _catalogue()["refused_licences"]):
        return f"licence {licence}"
    return f"source {source}" if source in _catalogue()["refused_sources"] else ""


@cache
def _catalogue() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("sources.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))


def _raw(name: str, source: Mapping[str, Any], data: Path | None) -> tuple[list[dict[str, Any]], str]:
    if data is None:
        records = [record for spec in source["hub"] for record in _from_hub(spec)]
        return records, hashlib.sha256(json.dumps(records, sort_keys=True).encode()).hexdigest()
    path = data / source["file"]
    try:
        content = path.read_bytes()
        text = gzip.decompress(content) if path.suffix == ".gz" else content
    except OSError as cause:
        raise BadFileError(path, f"cannot be read ({cause.strerror or cause}).") from cause
    lines = enumerate(text.decode().split("\n"), start=1)
    return [_parse(path, number, line) for number, line in lines if line.strip()], hashlib.sha256(
        text
    ).hexdigest()


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        return dict(json.loads(line))
    except (ValueError, TypeError) as cause:
        raise BadFileError(path, f"not a JSON object: {cause}.", line=number) from cause


def _from_hub(spec: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        from datasets import load_dataset  # type: ignore[import-not-found,import-untyped,unused-ignore]
    except ImportError as cause:
        raise MissingExtraError("Training from public data by id", "train") from cause
    table = load_dataset(spec["id"], spec.get("config"), split=spec["split"])
    for index, record in enumerate(table):
        if index >= spec.get("limit", len(table)):
            return
        missing = [column for column in spec["columns"].values() if column not in record]
        if missing:
            raise UsageError(f"{spec['id']} has no column '{missing[0]}'.", f"It has: {', '.join(record)}.")
        renamed = {ours: record[theirs] for ours, theirs in spec["columns"].items()}
        for column, values in spec.get("values", {}).items():
            renamed[column] = values.get(renamed[column])
        yield {**record, **renamed, **spec["set"]}


def _read(kind: str, record: Mapping[str, Any]) -> Iterable[Row]:
    origin = Row("", source=str(record.get("source", "")), licence=str(record["licence"]))
    if kind == "choices":
        return list(_choices(record, origin))
    if kind == "reply":
        return [_reply(record, origin)]
    domain = _catalogue()["domains"].get(record.get("category"), "")
    return [replace(origin, prompt=str(record["text"]), unsafe=record.get("unsafe"), domain=domain)]


def _choices(record: Mapping[str, Any], origin: Row) -> Iterator[Row]:
    domain = str(record["1-category"]).partition(":")[0]
    parts = _OPTION.split(str(record["choices"]).strip().rstrip(";"))[1:]
    for letter, text in zip(parts[::2], parts[1::2], strict=True):
        unsafe = letter not in str(record["gt"])
        query = str(record["query"])
        yield replace(origin, prompt=query, reply=text.strip(" ;"), unsafe=unsafe, domain=domain, goal=query)


def _reply(record: Mapping[str, Any], origin: Row) -> Row:
    raters = record.get("raters")
    benign = str(record.get("attack", "")).startswith("harmless_")
    return replace(
        origin,
        prompt=record["prompt"],
        reply=record["reply"],
        unsafe=False if benign else record.get("unsafe"),
        # A DICES row is one turn of a dialogue with one chatbot: its opening stands for the goal.
        goal=record.get("goal") or record["prompt"][:60],
        model=record.get("model") or record["source"],
        attack=record.get("attack") or "",
        substring=record.get("refused_by_substring"),
        votes=raters.get("Yes", 0) / max(sum(raters.values()), 1) if raters else None,
    )
