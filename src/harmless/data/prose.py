"""Plain English: how likely a model finds it tells whether training has damaged it."""

from __future__ import annotations

import json
from importlib import resources

from harmless.core import Expect, Prompt


def prose() -> list[Prompt]:
    """Return one prompt a paragraph: no conversation, and the paragraph as its only option.

    A target that gives likelihoods scores it as plain text; see the metric ``perplexity``. Written for this
    project, Apache-2.0.
    """
    text = (resources.files("harmless.data") / "builtin" / "prose.jsonl").read_text(encoding="utf-8")
    rows = (json.loads(line) for line in text.splitlines() if line)
    return [
        Prompt(
            id=row["id"],
            conversation=(),
            expect=Expect.CHOOSE,
            options=(row["text"],),
            source="harmless prose",
            licence="Apache-2.0",
        )
        for row in rows
    ]
