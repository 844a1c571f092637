"""The built-in prompts are what they claim to be."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pytest

from harmless import taxonomy
from harmless.core import Expect
from harmless.data import ordinary, twins
from harmless.data.twins import pairs_of_twins

PAIRS = list(pairs_of_twins())
NEAR = 0.7  # cosine of character n-gram TF-IDF from which two texts count as near-duplicates


def text(side: str | list[dict[str, str]]) -> str:
    return side if isinstance(side, str) else side[-1]["content"]


def test_each_of_the_66_hazards_has_the_same_number_of_pairs_and_no_other_hazard_is_used() -> None:
    counts = Counter(pair["hazard"] for pair in PAIRS)
    assert set(counts) == {leaf.key for leaf in taxonomy.load().leaves}
    assert min(counts.values()) >= 6


def test_ids_are_unique_and_carry_the_code_of_their_hazard() -> None:
    assert len({pair["id"] for pair in PAIRS}) == len(PAIRS)
    assert all(re.fullmatch(pair["hazard"].rpartition(".")[2] + r"-\d\d", pair["id"]) for pair in PAIRS)
    prompts = [*twins(), *ordinary("ordinary"), *ordinary("short")]
    assert len({p.id for p in prompts}) == len(prompts)


def test_a_pair_is_a_harmful_prompt_to_refuse_and_a_benign_one_to_answer() -> None:
    by_pair: dict[str | None, set[Expect]] = {}
    for prompt in twins():
        by_pair.setdefault(prompt.pair, set()).add(prompt.expect)
    assert all(sides == {Expect.REFUSE, Expect.ANSWER} for sides in by_pair.values())


def test_forms_and_registers_vary_within_every_hazard() -> None:
    forms = {pair["form"] for pair in PAIRS}
    assert forms == {"question", "imperative", "fiction", "dialogue"}
    for leaf in taxonomy.load().leaves:
        assert len({p["form"] for p in PAIRS if p["hazard"] == leaf.key}) >= 3


def test_twins_are_of_similar_length_and_share_words() -> None:
    def stems(side: str) -> set[str]:
        return {word[:5] for word in re.findall(r"[a-z]{4,}", side.lower())}

    for pair in PAIRS:
        harmful, benign = text(pair["harmful"]), text(pair["benign"])
        assert 0.5 <= len(benign) / len(harmful) <= 1.8, pair["id"]
        assert len(stems(harmful) & stems(benign)) >= 2, pair["id"]


def test_harmful_requests_are_a_sentence_or_two() -> None:
    assert max(len(text(pair["harmful"]).split()) for pair in PAIRS) <= 60


def test_there_are_no_near_duplicates_between_pairs() -> None:
    vectorizer = pytest.importorskip("sklearn.feature_extraction.text").TfidfVectorizer(
        analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True
    )
    prompts = [*twins(), *ordinary("ordinary")]
    matrix = vectorizer.fit_transform([p.text for p in prompts])
    similar = np.triu((matrix @ matrix.T).toarray(), 1)
    pair = np.array([p.pair or p.id for p in prompts])
    similar[pair[:, None] == pair[None, :]] = 0
    assert similar.max() < NEAR, [prompts[i].id for i in np.unravel_index(similar.argmax(), similar.shape)]


def test_ordinary_prompts_are_plenty_and_short_ones_are_short() -> None:
    assert len(ordinary("ordinary")) >= 150
    assert len(ordinary("short")) >= 100
    assert all(len(p.text.split()) <= 4 for p in ordinary("short"))
