"""Obfuscated profanity: recall by kind of disguise and false positives of `profanity` and `rules`.

    OMP_NUM_THREADS=1 python bench/profanity.py --data FOLDER

Disguises are drawn anew, but of kinds and words that the shipped head has seen; unseen ones are measured by
training (`metrics` of the artefact). Where better-profanity 0.7.0 is installed it is measured beside ours, on
the words that it lists too. Ordinary text is the rows of FOLDER that nothing is trained on.
"""

from __future__ import annotations

import argparse
import codecs
import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import numpy as np

from harmless import guards
from harmless.core import Exchange
from harmless.guards.train import own
from harmless.guards.train.obfuscate import KINDS
from harmless.guards.train.rows import load

SEED, WORDS, HARMLESS = 77, 40, 25

Flags = Callable[[Sequence[str]], list[bool]]


def ours(name: str) -> Flags:
    guard = guards.load(name)

    def flags(texts: Sequence[str]) -> list[bool]:
        verdicts = anyio.run(guard.judge, [Exchange.of(text) for text in texts])
        return [verdict.outcome == "unsafe" for verdict in verdicts]

    return flags


def lexicon() -> tuple[Flags, set[str]] | None:
    found = importlib.util.find_spec("better_profanity")
    if found is None or found.origin is None:
        return None
    from better_profanity import profanity  # type: ignore[import-not-found,import-untyped,unused-ignore]

    profanity.load_censor_words()
    listed = (Path(found.origin).parent / "profanity_wordlist.txt").read_text(encoding="utf-8").split("\n")
    return lambda texts: [profanity.contains_profanity(text) for text in texts], set(listed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    folder = parser.parse_args().data
    data, rng, other = own.texts("profanity"), np.random.default_rng(SEED), lexicon()
    words = [codecs.decode(word, "rot13") for family in data["families"] for word in family]
    words = [word for word in words if other is None or word in other[1]]

    def carried(word: str) -> str:
        return str(data["carriers"][int(rng.integers(len(data["carriers"])))]).replace("{w}", word)

    def drawn(of: Sequence[str], count: int) -> list[str]:
        return [of[i] for i in rng.permutation(len(of))[:count]]

    profane = {k: [carried(make(word, rng)) for word in drawn(words, WORDS)] for k, make in KINDS.items()}
    rows = [row.prompt for found in load(folder, only_measure=True).by_source.values() for row in found]
    ordinary = rows[::12]
    vocabulary = sorted({w.lower() for text in ordinary for w in text.split() if w.isalpha() and len(w) > 3})
    harmless = {
        "ordinary": ordinary,
        "innocent words": [carried(word) for word in data["innocent"]],
        "disguised harmless words": [
            carried(make(word, rng)) for make in KINDS.values() for word in drawn(vocabulary, HARMLESS)
        ],
    }
    measured = {"profanity": ours("profanity"), "rules": ours("rules")} | (
        {"better-profanity": other[0]} if other else {}
    )
    for name, flags in measured.items():
        found = {kind: np.mean(flags(texts)) for kind, texts in profane.items()}
        wrong = {kind: np.mean(flags(texts)) for kind, texts in harmless.items()}
        recall, false = (np.mean(list(each.values())) for each in (found, wrong))
        print(f"{name}: recall {recall:.3f}, false positives {false:.4f}")
        print("  " + ", ".join(f"{kind} {share:.3f}" for kind, share in (found | wrong).items()))


if __name__ == "__main__":
    main()
