"""Make the table of rows of letters that the guard ``gibberish`` uses.

``python -m harmless.guards.train.letters OUT ENGLISH.jsonl.gz FIELD`` counts the texts of a field of an English
corpus, and the stop words and example sentences that an installed spaCy brings for languages in Latin script.
The table that is shipped comes from Anthropic's hh-rlhf, harmless-base test split, ``chosen`` (MIT), and spaCy
3.8.18 (MIT).
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import numpy as np

from harmless.guards.letters import fit, surprise

LANGUAGES = "af ca cs da de es et eu fi fr ga hr hu id is it lt lv nb nl pl pt ro sk sl sq sv tl tr vi"
"""Codes of spaCy."""
WORDS, SENTENCES = 4.0, 16.0
"""Times that a word and an example of another language count: there are few."""


def main(out: str, corpus: str, field: str) -> None:
    """Write the table to ``out`` (.npz)."""
    counts = fit(_texts(Path(corpus), field))
    for code in LANGUAGES.split():
        words, sentences = _of(code)
        fit([" ".join(sorted(words))], WORDS, counts)
        fit([" ".join(sentences)], SENTENCES, counts)
    np.savez_compressed(out, surprise=surprise(counts))


def _texts(path: Path, field: str) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)[field]


def _of(code: str) -> tuple[set[str], list[str]]:
    """Return the stop words and examples of a language; spaCy has not both for all."""
    words: set[str] = getattr(import_module(f"spacy.lang.{code}.stop_words"), "STOP_WORDS", set())
    try:
        return words, import_module(f"spacy.lang.{code}.examples").sentences
    except ImportError:
        return words, []


if __name__ == "__main__":
    main(*sys.argv[1:4])
