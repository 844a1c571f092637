"""What a model was aligned on: counts by hazard, source, licence and expectation, and what was left out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from harmless import taxonomy
from harmless.align.critique import boilerplate
from harmless.align.examples import Example, data_hash
from harmless.core import Expect, TargetInfo
from harmless.core.model import Model
from harmless.errors import UsageError

NO_HAZARD = "no hazard"


class Card(Model):
    """The data card of an alignment.

    ``data_hash`` digests the examples to train on, in their order; ``replies`` names the target whose own
    replies are among the good ones; the counts are of train and development together; ``boilerplate`` is the
    share of the refusals that open like most of them do.
    """

    train: int
    development: int
    data_hash: str
    replies: str
    sources: tuple[str, ...]
    expectations: Mapping[str, int]
    with_bad: int
    cut: int
    boilerplate: float
    by_hazard: Mapping[str, int]
    by_source: Mapping[str, int]
    by_licence: Mapping[str, int]
    left_out: Mapping[str, int]


def card_of(
    train: Sequence[Example],
    development: Sequence[Example],
    *,
    target: TargetInfo,
    sources: Sequence[str],
    left_out: Counter[str],
) -> Card:
    """Return the card of examples; hazards are counted by their label at the level of tasks."""
    both = [*train, *development]
    return Card(
        train=len(train),
        development=len(development),
        data_hash=data_hash(train),
        replies=target.name,
        sources=tuple(sources),
        expectations=_most_common(each.expect.value for each in both),
        with_bad=sum(each.bad is not None for each in both),
        cut=sum(each.cut for each in both),
        boilerplate=boilerplate([each.good for each in both if each.expect is Expect.REFUSE]),
        by_hazard=_most_common(_task(each.hazard) for each in both),
        by_source=_most_common(each.source or "not said" for each in both),
        by_licence=_most_common(each.licence or "not said" for each in both),
        left_out=dict((+left_out).most_common()),
    )


def write_card(folder: Path, card: Card) -> list[Path]:
    """Write ``card.json`` and ``card.md`` into a folder; UsageError if it cannot be written."""
    texts = {"card.json": card.model_dump_json(indent=1) + "\n", "card.md": markdown(card)}
    paths = [folder / name for name in texts]
    try:
        for path in paths:
            path.write_text(texts[path.name], encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The card cannot be written to {folder}: {error.strerror or error}.", "Choose another --out."
        ) from error
    return paths


def read_card(folder: Path) -> Card | None:
    """Return the card in a folder, None if there is none."""
    path = folder / "card.json"
    return Card.model_validate(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def markdown(card: Card) -> str:
    """Return a card as Markdown."""
    lines = [
        "# Data card",
        "",
        f"{card.train} examples to train on, {card.development} held back for development;"
        f" {card.with_bad} with a reply that is not wanted, {card.cut} with a good reply that was cut."
        f" Of the refusals, {card.boilerplate:.0%} open with the same four words."
        f" Own replies are those of {card.replies}. Digest of what is trained on: `{card.data_hash}`.",
        "",
        "No prompt is, or nearly is, one of the evaluation suites.",
    ]
    tables = {
        "expectation": card.expectations,
        "hazard": card.by_hazard,
        "source": card.by_source,
        "licence": card.by_licence,
        "left out because": card.left_out,
    }
    for name, counts in tables.items():
        if counts:
            lines += ["", f"| {name} | examples |", "| --- | ---: |"]
            lines += [f"| {key} | {count} |" for key, count in counts.items()]
    return "\n".join(lines) + "\n"


def _task(hazard: str | None) -> str:
    if hazard is None:
        return NO_HAZARD
    hazards = taxonomy.load()
    chain = (hazards.hazard(hazard), *hazards.ancestors(hazard))
    return next((each.name for each in chain if each.level == "task"), chain[0].name)


def _most_common(names: Iterable[str]) -> dict[str, int]:
    return dict(Counter(names).most_common())
