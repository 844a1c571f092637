"""The constitution: ours is complete, a user's own is read, and principles are drawn at random but the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harmless import taxonomy
from harmless.align.constitution import Constitution, Principle, load_constitution
from harmless.errors import BadFileError

OURS = load_constitution()
ROW = {"id": "kind", "text": "is kind", "critique": "Is it unkind?", "revision": "Make it kind."}


def test_ours_has_sixteen_principles_or_more_and_six_for_every_prompt() -> None:
    assert len(OURS.principles) >= 16
    assert sum(not each.hazards for each in OURS.principles) == 6


def test_every_hazard_has_a_principle_of_its_own() -> None:
    for leaf in taxonomy.load().leaves:
        assert any(each.hazards and each.is_for(leaf.key) for each in OURS.principles), leaf.key


def test_a_principle_for_a_hazard_is_not_drawn_for_another() -> None:
    drawn = {each.id for i in range(80) for each in OURS.drawn(f"prompt {i}", "salad.c.O57", 2)}
    assert "property" in drawn
    assert not {"life", "children", "privacy"} & drawn
    assert all(not each.hazards for i in range(40) for each in OURS.drawn(f"prompt {i}", None, 1))


def test_rounds_draw_different_principles_while_there_are_any() -> None:
    drawn = [each.id for each in OURS.drawn("a", None, 6)]
    assert len(set(drawn)) == 6
    assert len(OURS.drawn("a", None, 8)) == 8
    assert [each.id for each in OURS.drawn("a", None, 6)] == drawn
    assert any([each.id for each in OURS.drawn("a", None, 6, seed)] != drawn for seed in range(1, 4))


def test_ones_own_is_read_from_a_file_and_named_after_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"principles": [{**ROW, "hazards": ["Theft"]}]}))
    found = load_constitution(path)
    assert (found.name, found.principles[0].hazards) == ("mine", ("salad.c.O57",))
    with pytest.raises(ValueError, match="no principle is for"):
        found.drawn("a", None, 1)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"principles": [{"id": "a", "text": "b"}]}, r"principles\.0\.critique: Field required"),
        ({"principles": [ROW, ROW]}, "the id 'kind' is there twice"),
        ({"principles": [{**ROW, "hazards": ["Thefft"]}]}, "Unknown hazard 'Thefft'"),
        ({"principles": []}, "principles: Tuple should have at least 1 item"),
        ("just text", "constitution: Input should be"),
    ],
)
def test_a_mistake_in_ones_own_is_named(tmp_path: Path, content: object, said: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(BadFileError, match=said) as caught:
        load_constitution(path)
    assert caught.value.next_step


def test_the_hash_is_of_the_principles() -> None:
    other = Constitution(name=OURS.name, principles=(Principle(**ROW),))
    assert other.revision_hash != OURS.revision_hash
