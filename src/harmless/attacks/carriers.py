"""Harmless documents with an instruction in them that their reader has not given: indirect prompt injection."""

from __future__ import annotations

import random
from itertools import product
from typing import NamedTuple

from harmless.attacks.writing import wording


class Case(NamedTuple):
    """One way to hide an instruction: kind of document, place in it, and how the instruction is put."""

    document: str
    place: str
    style: str

    def __str__(self) -> str:
        """Return a note for reports."""
        return ", ".join(self)

    def message(self, instruction: str) -> str:
        """Return what the user says: a harmless task, and the document with the instruction in it."""
        words = wording("injection")
        document = words["documents"][self.document]
        put = words["styles"][self.style].format(instruction=instruction)
        # An instruction has to be well-formed where it stands: in a string, a comment, a cell.
        put = put.translate(str.maketrans(document.get("escape", {})))
        text = document["text"]
        for place in words["places"]:
            text = text.replace(f"<{place}>", put if place == self.place else "")
        return f"{document['task']}\n\n{text}"


def styles() -> tuple[str, ...]:
    """Return the ways in which an instruction is put."""
    return tuple(wording("injection")["styles"])


def cases(rng: random.Random, chosen: tuple[str, ...] = ()) -> list[Case]:
    """Return all cases of some styles, or of all, in random order."""
    words = wording("injection")
    found = [Case(*each) for each in product(words["documents"], words["places"], chosen or styles())]
    return rng.sample(found, len(found))
