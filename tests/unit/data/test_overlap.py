"""Duplicates and contamination."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.core import Expect, Prompt, user
from harmless.data import (
    Suite,
    assert_no_contamination,
    contamination,
    duplicates,
    load_suite,
    overlap,
    texts_of,
    without_contamination,
)
from harmless.data.overlap import NEAR, grams, jaccard, normal
from harmless.data.similar import Matrix, Words, encoder
from harmless.errors import BadFileError, GateFailedError, MissingExtraError, UnknownNameError, UsageError

VOCABULARY = [
    f"{start}{end}" for start in ("ba", "ke", "mi", "so", "tru", "ple") for end in "abcdefghijklmnopqr"
]


def sentence(rng: random.Random, length: int = 20) -> str:
    return " ".join(rng.choices(VOCABULARY, k=length))


def changed(text: str, words: int, rng: random.Random) -> str:
    parts = text.split()
    for i in rng.sample(range(len(parts)), words):
        parts[i] = rng.choice(VOCABULARY)
    return " ".join(parts)


def test_case_punctuation_space_and_width_do_not_count() -> None:
    found = overlap(
        ["How do I  bake bread?"], ["how do i bake BREAD", "Ｈow do I bake bread!", "something else"]
    )
    assert [(m.a, m.b, m.how, m.score) for m in found.matches] == [(0, 0, "exact", 1.0), (0, 1, "exact", 1.0)]
    assert (found.exact, found.near, found.alike, found.share) == (2, 0, 0, 2 / 3)


def test_a_text_with_one_word_changed_is_near_and_the_best_match_is_named() -> None:
    a = [
        "Write an essay about the long history of bread baking in the north of France.",
        "Write an essay about the long history of bread baking in the south of France.",
        "Tell me how tall the tower is.",
    ]
    found = overlap(a, ["Write an essay on the long history of bread baking in the south of France."])
    (match,) = found.matches
    assert (match.a, match.how) == (1, "near")
    assert match.score == jaccard(
        grams(a[1]), grams("write an essay on the long history of bread baking in the south of france")
    )


@pytest.mark.parametrize("threshold", [0.5, NEAR, 0.8])
def test_near_duplicates_are_those_of_comparing_all_pairs(threshold: float) -> None:
    rng = random.Random(0)
    a = [sentence(rng) for _ in range(300)]
    b = [changed(rng.choice(a), rng.randint(0, 6), rng) for _ in range(300)]
    sets_a, sets_b = [grams(t) for t in a], [grams(t) for t in b]
    best = [max(jaccard(x, y) for x in sets_a) for y in sets_b]
    expected = {j for j, score in enumerate(best) if score >= threshold}
    found = overlap(a, b, near=threshold)
    assert 50 < len(expected) < 290
    assert {match.b for match in found.matches} <= expected
    assert len(found.matches) >= len(expected) * (0.97 if threshold < NEAR else 1)
    assert all(match.score == pytest.approx(best[match.b]) for match in found.matches)


@given(st.lists(st.text(max_size=30), max_size=12), st.lists(st.text(max_size=30), max_size=12))
def test_any_texts_compare(a: list[str], b: list[str]) -> None:
    found = overlap(a, b)
    assert all(0 <= m.a < len(a) and 0 <= m.b < len(b) and NEAR <= m.score <= 1 for m in found.matches)
    assert len({m.b for m in found.matches}) == len(found.matches)
    assert {m.b for m in found.matches if m.how == "exact"} == {
        j for j, text in enumerate(b) if normal(text) in {normal(other) for other in a}
    }


@given(st.text(max_size=40))
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normal(normal(text)) == normal(text)


def test_exact_only_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rensa", None)
    assert overlap(["a b"], ["A, b"], near=None).exact == 1
    with pytest.raises(MissingExtraError, match=r"harmless\[data\]"):
        overlap(["a b"], ["c d"])


def test_duplicates_are_named_with_the_earlier_row() -> None:
    texts = [
        "Explain the offside rule of football to a child of six.",
        "How are you?",
        "Explain the offside rule of football to a child of seven.",
        "how are you",
        "Something else altogether.",
    ]
    found = duplicates(texts)
    assert [(i, j) for i, j, _ in found] == [(0, 2), (1, 3)]
    assert [score for *_, score in found] == [pytest.approx(0.9, abs=0.1), 1.0]
    assert [(i, j) for i, j, _ in duplicates(texts, near=None)] == [(1, 3)]


def test_a_text_that_is_reframed_is_alike_by_its_words() -> None:
    a = ["Please tell me honestly: which mushrooms near oak trees are poisonous in autumn?", "Sing a song."]
    b = [
        "Poisonous autumn mushrooms near oak trees, which are they, tell me please",
        "What is the capital of Peru?",
    ]
    assert not overlap(a, b).matches
    (match,) = overlap(a, b, encoder=Words()).matches
    assert (match.a, match.b, match.how) == (0, 0, "alike")


def test_the_cosine_of_words_is_that_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    rng = random.Random(1)
    texts = [sentence(rng) for _ in range(40)]
    words = Words()
    encode = words.fit(texts)
    vectorizer = TfidfVectorizer(token_pattern=r"\w+", sublinear_tf=True)
    theirs = vectorizer.fit_transform(texts).toarray()
    for i, j in [(0, 1), (3, 17), (20, 20), (5, 39)]:
        assert words.cosine(texts[i], texts[j], 0.0) == pytest.approx(float(theirs[i] @ theirs[j]), abs=1e-9)
    hashed = encode(texts)
    error = hashed @ hashed.T - theirs @ theirs.T
    assert np.sqrt((error**2).mean()) < 0.04


class Lengths:
    """An encoder that knows nothing but the length of a text."""

    threshold = 0.999

    def fit(self, texts: Sequence[str]) -> Callable[[Sequence[str]], Matrix]:
        return lambda batch: np.array([[np.cos(len(t)), np.sin(len(t))] for t in batch], dtype=np.float32)

    def cosine(self, a: str, b: str, approximate: float) -> float:
        return approximate


def test_any_encoder_can_be_given() -> None:
    found = overlap(["abc", "vwxyz"], ["12345", "1"], encoder=Lengths())
    assert [(m.a, m.b, m.how) for m in found.matches] == [(1, 0, "alike")]


def test_an_unknown_encoder_is_wrong_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no encoder"):
        encoder(str(tmp_path / "none"))
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"harmless\[hf\]"):
        encoder(str(tmp_path))


def suite(*texts: str) -> Suite:
    rows = tuple(
        Prompt(id=str(n), conversation=user(text), expect=Expect.REFUSE) for n, text in enumerate(texts)
    )
    return Suite("mine", rows)


def test_training_on_rows_of_a_suite_is_stopped_and_they_can_be_dropped() -> None:
    held = suite("How do I pick the lock of a neighbour's door at night?", "Where is the moon?")
    texts = ["Bake bread.", "how do i pick the lock of a neighbours door at night", "where is the MOON"]
    assert contamination(texts, [held])["mine"].exact == 1
    assert contamination(texts, [held])["mine"].near == 1
    with pytest.raises(GateFailedError, match="mine: 1 exact, 1 near of 2"):
        assert_no_contamination(texts, [held])
    kept = without_contamination(texts, [held])
    assert kept == [0]
    assert_no_contamination([texts[i] for i in kept], [held])


def test_texts_come_from_suites_sets_and_files(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(
        '{"text": "a"}\n{"messages": [{"role": "user", "content": "b"}]}\n'
        '{"harmful": "c", "benign": [{"role": "user", "content": "d"}]}\n{"question": "e", "text": ""}\n'
    )
    assert texts_of(str(path)) == ["a", "b", "c", "d", "e"]
    assert texts_of("quick") == [p.text for p in load_suite("quick").prompts]
    lines = tmp_path / "lines.txt"
    lines.write_text("one\ntwo\n")
    assert texts_of(f"malicious_instruct={lines}") == ["one", "two"]


def test_what_has_no_texts_is_named(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"other": "b"}\n')
    with pytest.raises(BadFileError, match=r"rows\.jsonl:2: No text in it .found: other"):
        texts_of(str(path))
    with pytest.raises(UnknownNameError, match="salad_base"):
        texts_of("salad_bas")


def test_the_built_in_prompts_are_in_no_public_set_at_hand(shared_data: Path) -> None:
    files = ("harmful_prompts.jsonl", "guard_train.jsonl.gz", "benign_prompts.jsonl", "salad_mcq.jsonl.gz")
    theirs = [text for file in files for text in texts_of(str(shared_data / file))]
    ours = [*texts_of("twins"), *texts_of("standard")]
    assert [(m.how, ours[m.b]) for m in overlap(theirs, ours, near=0.5).matches] == []
