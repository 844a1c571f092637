"""The difficulty of the twins on the bundled model."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest

from harmless.core import Expect
from harmless.data import twins, validate
from harmless.data.difficulty import Difficulties, difficulties, text_digest
from harmless.data.twins import codes_of, pairs_of_twins
from harmless.taxonomy import crosswalk


def test_every_pair_was_measured_as_it_stands() -> None:
    known = difficulties().pairs
    assert {row["id"]: text_digest(row) for row in pairs_of_twins()} == {id: d.text for id, d in known.items()}
    assert all(min(each.assessed) >= 1 for each in known.values())


def test_it_says_how_it_was_measured() -> None:
    found = difficulties()
    assert found.model["name"] == "embedded"
    assert set(found.judges) == {"harm", "refusal"}
    assert {sample["max_tokens"] for sample in found.samples} == {64}
    most = sum(sample["times"] for sample in found.samples)
    assert all(max(each.assessed) <= most for each in found.pairs.values())


def test_difficulty_is_of_each_side_and_of_the_pair() -> None:
    by_id = {prompt.id: prompt for prompt in twins()}
    for id, found in difficulties().pairs.items():
        assert by_id[f"{id}-harmful"].meta == {"difficulty": str(found.harmful)}
        assert by_id[f"{id}-benign"].meta == {"difficulty": str(found.benign)}
        assert found.pair == (found.harmful + found.benign) / 2


def test_pairs_differ_in_difficulty() -> None:
    harmful = [float(p.meta["difficulty"]) for p in twins() if p.expect is Expect.REFUSE]
    assert min(harmful) < 0.1 < 0.9 < max(harmful)


@pytest.fixture
def without_one(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Put other measurements in the place of those of the package, and return their pairs."""
    found = difficulties()
    pairs = dict(found.pairs)
    changed: Difficulties = found.model_copy(update={"pairs": pairs})
    for module in ("validate", "twins"):
        monkeypatch.setattr(import_module(f"harmless.data.{module}"), "difficulties", lambda: changed)
    return pairs


def test_a_pair_that_was_not_measured_or_has_changed_since_is_a_problem(without_one: dict[str, Any]) -> None:
    del without_one["O1-01"]
    without_one["O1-02"] = without_one["O1-02"].model_copy(update={"text": "00000000"})
    without_one["O1-99"] = without_one["O1-03"]
    messages = [str(problem) for problem in validate()]
    assert messages == [
        "O1-99: There is a difficulty of it and no such pair.",
        "line 1, O1-01: Its difficulty was not measured: run bench/difficulty.py.",
        "line 2, O1-02: Its difficulty was measured before the pair was changed: run bench/difficulty.py.",
    ]
    assert [prompt.meta for prompt in twins()[:4]] == [{}] * 4


def test_codes_follow_the_crosswalk() -> None:
    codes = codes_of("salad.c.O57")
    assert codes["llama_guard_3"] == [link.code for link in crosswalk("llama_guard_3").to("salad.c.O57")]
    assert "salad_bench" not in codes
    assert all(codes.values())
