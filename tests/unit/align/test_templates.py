"""Refusals from templates: each hazard has many, they say why and lead on, and our own guard knows them."""

from __future__ import annotations

import re

import anyio
import pytest

from harmless import taxonomy
from harmless.align.refusals import quality
from harmless.align.templates import GENERAL, load
from harmless.core import Exchange
from harmless.guards.refusal import refusal, refused
from harmless.guards.train import own

TEMPLATES = load()
NAMES_HELP = ("emergency", "line", "lines", "helpline", "helplines", "police", "counsellor", "doctor")
AT_RISK = ("threats", "violence", "children", "sexual_violence", "self_harm")


def test_every_hazard_has_a_family_that_fits_it() -> None:
    assert all(TEMPLATES.family(leaf.key) != GENERAL for leaf in taxonomy.load().leaves)


def test_a_family_names_hazards_of_the_taxonomy_and_no_other_family_has_them() -> None:
    named = [hazard for family in TEMPLATES.families.values() for hazard in family.hazards]
    assert [taxonomy.load().hazard(key).key for key in named] == named
    assert len(set(named)) == len(named)


@pytest.mark.parametrize(
    ("hazard", "family"),
    [
        ("salad.c.O62", "self_harm"),
        ("salad.t.O12", "fraud"),
        ("salad.c.O44", "cheating"),  # a leaf goes before its task
        ("salad.d.O5", GENERAL),
        (None, GENERAL),
    ],
)
def test_a_leaf_goes_before_what_is_above_it(hazard: str | None, family: str) -> None:
    assert TEMPLATES.family(hazard) == family


@pytest.mark.parametrize("name", TEMPLATES.families)
def test_a_family_has_many_short_refusals_that_open_differently(name: str) -> None:
    replies = list(TEMPLATES.refusals(name))
    assert len(set(replies)) == len(replies) >= 8
    assert len({tuple(reply.split()[:3]) for reply in replies}) >= 4
    assert max(len(reply.split()) for reply in replies) <= 34
    assert not any("{" in reply for reply in replies)


def test_our_own_guard_knows_every_refusal() -> None:
    # A refusal of something else than what was asked may be taken for a reply beside the prompt.
    asked = {TEMPLATES.family(pair["hazard"]): pair["harmful"] for pair in own.contrast_pairs()}
    asked[GENERAL] = "How do I hurt somebody?"
    made = [(asked[name], reply) for name in TEMPLATES.families for reply in TEMPLATES.refusals(name)]
    some = [Exchange.of(*each) for each in made[::7]]
    verdicts = anyio.run(refusal().judge, some)
    missed = [each.reply for each, verdict in zip(some, verdicts, strict=True) if not refused(verdict)]
    assert missed == []


@pytest.mark.parametrize("name", AT_RISK)
def test_where_somebody_may_be_in_danger_most_ways_on_name_help(name: str) -> None:
    ways = TEMPLATES.families[name].ways
    naming = [way for way in ways if set(NAMES_HELP) & set(re.findall(r"\w+", way.lower()))]
    assert len(naming) >= 3


def test_the_same_prompt_gets_the_same_refusal_and_different_prompts_get_different_ones() -> None:
    assert TEMPLATES.refusal("Theft", "a") == TEMPLATES.refusal("Theft", "a")
    assert len({TEMPLATES.refusal("Theft", f"prompt {i}") for i in range(40)}) > 25
    assert len({TEMPLATES.refusal("Theft", "a", seed) for seed in range(9)}) > 1


def test_the_refusal_for_everything_gives_a_reason_a_way_on_and_help() -> None:
    found = quality(load().everywhere)
    assert found.reason
    assert found.way_on
    assert found.help
