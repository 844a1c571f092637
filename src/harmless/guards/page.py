"""The documentation's page of all guards, made from the registry, ``cards.yaml`` and ``prompts/*.yaml``."""

from __future__ import annotations

from importlib import resources
from typing import Literal

import yaml

from harmless.core.model import Model
from harmless.guards import describe, formats
from harmless.guards.formats import Format
from harmless.guards.registry import GuardEntry

NOTHING = "nothing"

_HEAD = """# All guards

What each covers, costs and needs, its licence, and which data leaves the machine. Times are of one core and a
prompt of 60 characters. How to combine guards is in [guards-combined](guards-combined.md); how guard models are
run, and what they cost, in [guards-lm](guards-lm.md).

| guard | covers | judges | needs | costs | licence | data that leaves the machine |
| --- | --- | --- | --- | --- | --- | --- |
"""

_FOOT = """
- What filters find and miss, and their false alarms on ordinary prompts, is measured in design/filters.md.
- `rules(pii)` and `pii` both find personal data. The first needs nothing, and knows cards, accounts, US social
  security numbers, e-mail addresses and telephone numbers by pattern and checksum. The second is Presidio, with
  many countries' kinds, and names of people and places through a model of spaCy. Both show what anyone may
  write of anyone (addresses, names, dates) without calling the text unsafe; `pii(PERSON)` makes it count.
- `harmless.guards.redaction.redacted(text, verdict)` covers what any guard found, by its places.
- **Garbled output** of a guard model, also behind NeMo Guardrails and any-guardrail, is unassessed.
- Other packages' guards, named by the entry-point group `harmless.guards`, are listed by `harmless guard list`.

This page is made; run `python -m harmless.guards.page > docs/guards-all.md` after a change.
"""


class Card(Model):
    """What the documentation says of a guard; ``cards.yaml`` explains the fields."""

    covers: str
    sees: Literal["prompt", "reply", "both"]
    needs: str = NOTHING
    costs: str
    licence: str
    sends: str = NOTHING


def cards() -> dict[str, Card]:
    """Return the cards by name: those of ``cards.yaml``, and those of the guard models."""
    text = resources.files(__package__).joinpath("cards.yaml").read_text(encoding="utf-8")
    own = {name: Card.model_validate(fields) for name, fields in yaml.safe_load(text).items()}
    return {name: _of(formats.find(name)) for name in formats.names()} | own


def page() -> str:
    """Return the page as Markdown."""
    known = cards()
    rows = [_row(each, known[each.name]) for each in describe() if each.origin == "harmless"]
    return _HEAD + "\n".join(rows) + "\n" + _FOOT


def _of(format: Format) -> Card:
    return Card(
        covers=format.covers,
        sees=format.sees,
        needs=f"a target that serves it, {format.size}",
        costs="one answer of the model",
        licence=format.licence,
        sends="conversation and reply to the endpoint; nothing with hf and embedded",
    )


def _row(entry: GuardEntry, card: Card) -> str:
    judges = {"prompt": "prompts", "reply": "replies", "both": "prompts, replies"}[card.sees]
    cells = (f"`{entry.name}`", card.covers, judges, card.needs, card.costs, card.licence, card.sends)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


if __name__ == "__main__":
    print(page(), end="")
