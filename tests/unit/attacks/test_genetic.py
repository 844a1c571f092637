"""The genetic search breeds templates whose replies the judge scores higher."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.attacks import load
from harmless.attacks.genetic import crossed, genes_of, mutated
from harmless.attacks.templates import templates
from harmless.attacks.templates.template import PLACE
from harmless.core import Conversation
from harmless.errors import UsageError
from tests.unit.attacks.sessions import FakeSession, run

GENES = st.lists(st.sampled_from("abcdef"), max_size=6).map(lambda g: (*g, f"do {PLACE}", "z"))


def test_a_template_falls_into_its_sentences() -> None:
    assert genes_of("Be kind. Do it!\nNow:  {objective}") == ("Be kind.", "Do it!", "Now:", "{objective}")


@given(one=GENES, other=GENES, seed=st.integers(0, 99))
def test_children_have_sentences_of_both_parents_and_the_objective_once(one, other, seed) -> None:  # type: ignore[no-untyped-def]
    child = crossed(one, other, random.Random(seed))
    assert set(child) <= {*one, *other, PLACE}
    assert sum(PLACE in gene for gene in child) == 1


@given(genes=GENES, seed=st.integers(0, 99))
def test_a_mutation_changes_one_sentence_and_keeps_the_objective(genes, seed) -> None:  # type: ignore[no-untyped-def]
    changed = mutated(genes, ["new"], 1.0, random.Random(seed))
    assert changed != genes
    assert abs(len(changed) - len(genes)) <= 1
    assert sum(PLACE in gene for gene in changed) == 1
    assert mutated(genes, ["new"], 0.0, random.Random(seed)) == genes


def wanted(text: str) -> float:
    """A graded judge: the more of these words stand in a prompt, the riskier the reply; none succeeds."""
    return 0.09 * sum(word in text for word in ("answer", "write", "report", "rules", "detail"))


def mean_of_the_last(score: Callable[[str], float]) -> float:
    """Return what :func:`wanted` gives the last generation on average, over 12 searches led by ``score``."""
    found = []
    for seed in range(12):
        session = run(load("genetic(10)"), FakeSession(lambda c: c[-1].content, score=score, seed=seed))
        found += [wanted(text) for text in session.prompts[-6:]]
    return sum(found) / len(found)


def test_later_generations_score_higher_than_they_do_by_chance() -> None:
    assert mean_of_the_last(wanted) > 1.3 * mean_of_the_last(lambda _: 0.0)


def test_no_prompt_is_asked_twice_and_the_number_of_calls_is_as_told() -> None:
    attack = load("genetic")
    session = run(attack, FakeSession(lambda c: "no"))
    assert len(set(session.prompts)) == len(session.prompts) == attack.info.calls
    assert session.batches == [8, 6, 6, 6, 6, 6]
    assert session.notes[0] == "generation 1"
    assert all("open the old box" in prompt for prompt in session.prompts)


def test_it_depends_on_the_seed_and_on_the_replies_alone() -> None:
    def asked(seed: int) -> list[Conversation]:
        return run(load("genetic(3)"), FakeSession(lambda c: "no", seed=seed)).asked

    assert asked(1) == asked(1)
    assert asked(1) != asked(2)


def test_there_are_enough_plain_templates_to_begin_with() -> None:
    assert sum(each.is_plain for each in templates().values()) > 50


def test_a_wrong_number_is_told() -> None:
    with pytest.raises(UsageError, match="generations"):
        load("genetic(no)")
    assert load("genetic(3)").info.name == "genetic(3)"
