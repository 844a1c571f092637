"""Samples and mixtures."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless import taxonomy
from harmless.core import Expect, Prompt, user
from harmless.data import Suite, load_suite, mix
from harmless.data.sampling import shares, stratified
from harmless.errors import UsageError

HAZARDS = ["salad.c.O1", "salad.c.O2", "salad.c.O57"]


def prompt(id: str, hazard: str | None = None, source: str = "s", **more: str) -> Prompt:
    return Prompt(id=id, conversation=user(id), expect=Expect.REFUSE, hazard=hazard, source=source, **more)


def many(number: int, hazard: str | None, source: str = "s") -> list[Prompt]:
    return [prompt(f"{hazard}-{source}-{n}", hazard, source) for n in range(number)]


prompts = st.lists(
    st.tuples(
        st.sampled_from([*HAZARDS, None]), st.sampled_from("st"), st.one_of(st.none(), st.sampled_from("pqr"))
    ),
    min_size=1,
    max_size=60,
).map(
    lambda rows: [
        prompt(str(n), None if pair else hazard, source, **({"pair": pair} if pair else {}))
        for n, (hazard, source, pair) in enumerate(rows)
    ]
)


@given(prompts, st.integers(1, 70), st.integers(0, 5))
def test_a_sample_is_of_its_size_and_keeps_pairs_and_order(rows: list[Prompt], limit: int, seed: int) -> None:
    chosen = stratified(rows, limit, seed=seed)
    whole = Counter(p.pair for p in rows if p.pair)
    assert min(limit, len(rows)) <= len(chosen) < limit + max(whole.values(), default=1)
    assert all(n == whole[pair] for pair, n in Counter(p.pair for p in chosen if p.pair).items())
    assert [rows.index(p) for p in chosen] == sorted(rows.index(p) for p in chosen)
    assert chosen == stratified(rows, limit, seed=seed)


@given(prompts, st.integers(1, 60))
def test_a_smaller_sample_is_part_of_a_larger_one(rows: list[Prompt], limit: int) -> None:
    small, large = ({p.id for p in stratified(rows, n)} for n in (limit, limit + 1))
    assert small <= large


def test_hazards_and_within_them_sources_are_taken_evenly() -> None:
    rows = [*many(500, HAZARDS[0], "big"), *many(20, HAZARDS[0], "small"), *many(30, HAZARDS[1])]
    chosen = stratified(rows, 40)
    assert Counter(p.hazard for p in chosen) == {HAZARDS[0]: 20, HAZARDS[1]: 20}
    assert Counter(p.source for p in chosen if p.hazard == HAZARDS[0]) == {"big": 10, "small": 10}


def test_weights_change_the_ratio_and_zero_leaves_out() -> None:
    rows = [row for hazard in HAZARDS for source in "ab" for row in many(100, hazard, source)]
    chosen = stratified(rows, 80, weights={HAZARDS[0]: 3, HAZARDS[1]: 1, HAZARDS[2]: 0, "a": 3})
    assert Counter(p.hazard for p in chosen) == {HAZARDS[0]: 60, HAZARDS[1]: 20}
    assert Counter(p.source for p in chosen) == {"a": 60, "b": 20}


def test_another_seed_takes_other_prompts() -> None:
    rows = many(100, HAZARDS[0])
    assert stratified(rows, 20, seed=1) != stratified(rows, 20, seed=2)


@pytest.mark.parametrize("weights", [{"salad.c.O99": 1.0}, {HAZARDS[0]: -1.0}])
def test_weights_without_sense_are_wrong_use(weights: dict[str, float]) -> None:
    with pytest.raises(UsageError, match="has no sense"):
        stratified(many(3, HAZARDS[0]), 2, weights=weights)


@given(
    st.lists(st.tuples(st.integers(1, 1000), st.integers(1, 9)), min_size=1, max_size=6), st.integers(0, 500)
)
def test_shares_add_up_and_fit(parts: list[tuple[int, int]], limit: int) -> None:
    sizes, weights = [size for size, _ in parts], [weight for _, weight in parts]
    largest = shares(sizes, weights, None)
    assert all(taken <= size for taken, size in zip(largest, sizes, strict=True))
    if limit <= sum(largest):
        taken = shares(sizes, weights, limit)
        assert sum(taken) == limit
        for each, weight in zip(taken, weights, strict=True):
            assert abs(each - limit * weight / sum(weights)) < 1


def suite(name: str, size: int, **more: str) -> Suite:
    rows = tuple(prompt(f"{name}{n}", HAZARDS[n % 3], name) for n in range(size))
    return Suite(name, rows, f"file {name}", **more)


def test_a_mixture_has_the_ratio_of_its_weights() -> None:
    mixed = mix([suite("a", 300), suite("b", 300)], [3, 1], limit=80)
    assert Counter(p.source for p in mixed.prompts) == {"a": 60, "b": 20}
    assert (mixed.name, mixed.source) == ("a+b", "file a; file b")


def test_a_mixture_without_a_limit_is_as_large_as_its_weights_allow() -> None:
    mixed = mix([suite("a", 300), suite("b", 30)])
    assert Counter(p.source for p in mixed.prompts) == {"a": 30, "b": 30}


def test_what_does_not_mix_is_wrong_use() -> None:
    with pytest.raises(UsageError, match="one metric"):
        mix([suite("a", 3), suite("b", 3, metric="bbq")])
    with pytest.raises(UsageError, match="one metric"):
        mix([])
    with pytest.raises(UsageError, match="too small"):
        mix([suite("a", 300), suite("b", 3)], limit=100)
    with pytest.raises(UsageError, match="same id"):
        mix([suite("a", 3), suite("a", 3)])
    with pytest.raises(UsageError, match="above 0"):
        mix([suite("a", 3), suite("b", 3)], [1, 0])


def test_languages_are_told_by_their_first_part() -> None:
    rows = tuple(prompt(code, language=code) for code in ("en", "en-GB", "fr_FR", "de"))
    spoken = Suite("s", rows)
    assert [p.id for p in spoken.in_languages("en").prompts] == ["en", "en-GB"]
    assert [p.id for p in spoken.in_languages("fr", "DE").prompts] == ["fr_FR", "de"]
    with pytest.raises(UsageError, match="There is: de, en, fr"):
        spoken.in_languages("nl")


def test_a_limited_suite_keeps_its_name_source_and_metric() -> None:
    whole = suite("a", 30, metric="bbq")
    part = whole.limited(5)
    assert (part.name, part.source, part.metric, len(part.prompts)) == ("a", "file a", "bbq", 5)


def test_a_suite_knows_whether_part_of_it_is_non_commercial() -> None:
    free, bound = prompt("a", licence="MIT"), prompt("b", licence="CC-BY-NC-4.0")
    assert Suite("s", (free, bound)).non_commercial
    assert not Suite("s", (free,)).non_commercial
    assert not load_suite("quick").non_commercial


def test_a_sample_smaller_than_the_number_of_hazards_is_not_of_the_first_names() -> None:
    for seed in range(3):
        part = load_suite("quick").limited(24, seed).prompts
        domains = {taxonomy.load().rollup(p.hazard, "domain").key for p in part if p.hazard}
        assert len(domains) >= 3
    assert load_suite("quick").limited(24, 0) != load_suite("quick").limited(24, 1)
