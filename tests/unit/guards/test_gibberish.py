"""Gibberish is told from text by its spelling."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import string
from pathlib import Path

import anyio
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Exchange, Outcome, Verdict
from harmless.guards import load
from harmless.guards.letters import STEP, fit, latin, places, shipped, surprise
from harmless.guards.train import letters as training
from tests.conftest import ROOT

SENTENCES = yaml.safe_load((ROOT / "tests/integrations/sentences.yaml").read_text(encoding="utf-8"))
OTHER_SCRIPTS = ("ru", "uk", "zh", "ja", "ar", "ko", "hi")
GUARD = load("gibberish")


def judge(*texts: str) -> list[Verdict]:
    return anyio.run(GUARD.judge, [Exchange.of(text) for text in texts])


def share(texts: list[str]) -> float:
    return sum(verdict.outcome is Outcome.UNSAFE for verdict in judge(*texts)) / len(texts)


def drawn(alphabet: str, length: int, times: int = 200) -> list[str]:
    source = random.Random(0)
    return ["".join(source.choice(alphabet) for _ in range(length)) for _ in range(times)]


def test_letters_drawn_at_random_are_gibberish() -> None:
    assert share(drawn(string.ascii_lowercase + "   ", 60)) == 1
    assert share(drawn(string.ascii_letters, 15)) >= 0.99


@pytest.mark.parametrize("row", ["asdfghjkl", "qwertyuiop", "asdfjkl"])
def test_hammering_on_a_row_of_keys_is_gibberish(row: str) -> None:
    assert share(drawn(row + " ", 40)) >= 0.95


def test_gibberish_behind_a_sentence_is_found_in_its_place() -> None:
    text = "Please tell me how to bake bread. " + drawn(string.ascii_lowercase, 40)[0]
    (verdict,) = judge(text)
    assert verdict.outcome is Outcome.UNSAFE
    start, end = verdict.findings[0].span or (0, 0)
    assert 30 <= start < end <= len(text)


@pytest.mark.parametrize("code", [code for code in SENTENCES if code not in OTHER_SCRIPTS])
def test_other_languages_in_latin_script_are_none(code: str) -> None:
    assert share(SENTENCES[code]) == 0


@pytest.mark.parametrize("code", OTHER_SCRIPTS)
def test_other_scripts_are_not_assessed(code: str) -> None:
    assert {verdict.outcome for verdict in judge(*SENTENCES[code])} == {Outcome.UNASSESSED}


@pytest.mark.parametrize("text", ["", "ok", "12 + 30 = 42", "🙂🙂🙂", "\x00\ud800", "x" * 9, "-" * 500])
def test_what_is_too_short_to_tell_is_safe(text: str) -> None:
    assert judge(text)[0].outcome is Outcome.SAFE


def test_ordinary_prompts_and_replies_are_not_flagged(shared_data: Path) -> None:
    lines = (shared_data / "benign_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    assert share([json.loads(line)["text"] for line in lines]) < 0.001
    with gzip.open(shared_data / "labelled_replies.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(row) for row in file]
    ordinary = [row["reply"] for row in rows if row.get("attack") == "harmless_baseline"]
    assert share(ordinary) <= 0.02


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=80))
def test_every_letter_has_a_place_in_order(text: str) -> None:
    numbers, where = places(text)
    assert len(numbers) == len(where)
    assert numbers[0] == numbers[-1] == 0
    assert all(a <= b for a, b in itertools.pairwise(where))
    assert not any(a == b == 0 for a, b in itertools.pairwise(numbers[1:-1]))
    assert latin(text) <= len(text)
    assert judge(text)[0].outcome is not None


def test_accents_and_capitals_are_folded() -> None:
    plain, accented = places("Uber aeiou")[0], places("Über äéïôú")[0]
    assert (plain == accented).all()


def test_the_table_holds_probabilities() -> None:
    chances = 2.0 ** -shipped().astype(float)
    assert shipped().shape == (27, 27, 27)
    assert chances.sum(2) == pytest.approx(np.ones((27, 27)), abs=0.05)


def test_what_was_seen_often_surprises_little() -> None:
    table = surprise(fit(["the cat sat on the mat"] * 50)) * STEP
    t, h, e, q = (ord(c) - 96 for c in "theq")
    assert table[t, h, e] < 0.5 < 3 < table[t, h, q]
    assert fit(["ab"], 2.0)[0, 1, 2] == 2


def test_the_table_is_made_from_a_corpus_and_word_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus = tmp_path / "corpus.jsonl.gz"
    with gzip.open(corpus, "wt") as file:
        file.write(json.dumps({"text": "the cat sat on the mat"}) + "\n")
    monkeypatch.setattr(training, "_of", lambda code: ({"und", "der"}, ["Guten Morgen."]))
    training.main(str(tmp_path / "out.npz"), str(corpus), "text")
    stored = np.load(tmp_path / "out.npz")["surprise"]
    assert (stored.shape, stored.dtype) == ((27, 27, 27), np.uint8)
    u, n, d = (ord(c) - 96 for c in "und")
    assert stored[u, n, d] < stored[u, n, 1]
