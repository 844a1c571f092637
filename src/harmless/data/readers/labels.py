"""Labelled exchanges whose labels need more than a look-up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from harmless.data.build import build
from harmless.data.catalog import Entry, as_key
from harmless.data.fields import Fields, RowError
from harmless.data.rows import Item

#: ToxiGen: the sum of both ratings (1 to 5 each) above which a text counts as toxic (lm-evaluation-harness).
TOXIC_SUM = 5.5


def flags(entry: Entry, fields: Fields) -> Iterator[Item]:
    """Labels that are columns of 0 and 1 (OpenAI moderation); a missing one is unknown.

    The category is the first flagged one in the order of the entry's ``unsafe.any_of``.
    """
    names = getattr(entry.unsafe, "any_of", ())
    for name in names:
        if as_key(fields.get(name, 0)) not in ("0", "1"):
            raise RowError(f"The label {name} is {fields[name]!r}.", "0, 1 or nothing is wanted.")
    flagged = [name for name in names if as_key(fields.get(name, 0)) == "1"]
    yield build(entry, fields | ({"category": flagged[0]} if flagged else {}))


def categories(entry: Entry, fields: Fields) -> Iterator[Item]:
    """A struct of truth values by category (BeaverTails), or a text with commas between them (Aegis)."""
    given = fields.pop("categories", None)
    if isinstance(given, Mapping):
        names = [name for name, flag in given.items() if flag]
    else:
        names = [part.strip() for part in str(given or "").split(",") if part.strip()]
    extra = {"category": names[0], "categories": names} if names else {}
    yield build(entry, fields | extra)


def toxigen(entry: Entry, fields: Fields) -> Iterator[Item]:
    """ToxiGen, annotated: toxic if both ratings together are above 5.5; the mean rating is in ``meta``."""
    try:
        total = float(fields["toxicity_ai"]) + float(fields["toxicity_human"])
    except ValueError:
        raise RowError(f"toxicity_human is {fields['toxicity_human']!r}.", "1 to 5 is wanted.") from None
    yield build(entry, {**fields, "toxic": str(total > TOXIC_SUM)})


def halueval(entry: Entry, fields: Fields) -> Iterator[Item]:
    """HaluEval: one row has a right and a hallucinated answer, so it gives two labelled exchanges."""
    right, wrong = fields.pop("right"), fields.pop("wrong")
    for side, reply in (("right", right), ("hallucinated", wrong)):
        yield build(
            entry,
            {**fields, "id": f"{fields['id']}-{side}", "reply": reply, "side": side, "cluster": fields["id"]},
        )


def artifacts(entry: Entry, fields: Fields) -> Iterator[Item]:
    """A JailbreakBench artifact file: one object with all attempts; those without a reply are left out."""
    about = fields.pop("parameters")
    for attempt in fields.pop("jailbreaks"):
        if attempt.get("prompt") and attempt.get("response"):
            yield build(entry, {**_attempt(attempt), "method": about["method"], "model": about["model"]})


def _attempt(attempt: Mapping[str, Any]) -> Fields:
    wanted = {"index": "id", "goal": "goal", "behavior": "cluster", "category": "category"}
    wanted |= {"prompt": "text", "response": "reply", "jailbroken": "jailbroken"}
    missing = [name for name in wanted if name not in attempt]
    if missing:
        raise RowError(f"An attempt has no '{missing[0]}'.", "A JailbreakBench artifact file is wanted.")
    return {field: attempt[name] for name, field in wanted.items() if attempt[name] is not None}


def wild_jailbreak(entry: Entry, fields: Fields) -> Iterator[Item]:
    """WildJailbreak: the adversarial form of a request where there is one, otherwise the plain one."""
    vanilla, adversarial = fields.pop("vanilla", None), fields.pop("adversarial", None)
    text = {"text": adversarial or vanilla} if adversarial or vanilla else {}
    yield build(entry, fields | text | ({"cluster": vanilla} if vanilla else {}))
