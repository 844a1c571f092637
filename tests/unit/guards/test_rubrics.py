"""Rubrics are data, ours and users' own."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from harmless import taxonomy
from harmless.errors import BadFileError, UnknownNameError
from harmless.guards.rubric import load_rubric, rubric_names

PLAIN = {
    "name": "mine",
    "title": "t",
    "question": "q?",
    "levels": {0: "bad", 1: "good"},
    "unsafe_to": 0,
}


def written(folder: Path, **changes: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in (PLAIN | changes).items() if v is not None}))
    return str(path)


@pytest.mark.parametrize("name", ["harm", "helpfulness", "k12", "refusal_quality"])
def test_ours_have_examples_a_control_and_known_hazards(name: str) -> None:
    rubric = load_rubric(name)
    assert name in rubric_names()
    assert rubric.name == name
    assert rubric.examples
    assert rubric.control
    spine = taxonomy.load()
    for criterion in rubric.criteria:
        if criterion.hazard:
            assert spine.hazard(criterion.hazard).key == criterion.hazard


def test_k12_has_an_age_band() -> None:
    band = load_rubric("k12").age_band
    assert band is not None
    assert (band.from_, band.to) == (5, 18)


def test_an_unknown_rubric_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean harm"):
        load_rubric("harms")


def test_the_threshold_lies_between_the_last_safe_and_the_first_unsafe_level(tmp_path: Path) -> None:
    rubric = load_rubric(written(tmp_path))
    assert (rubric.best, rubric.worst) == (1, 0)
    assert (rubric.score(1), rubric.threshold, rubric.score(0)) == (0, 0.5, 1)
    assert {name: load_rubric(name).threshold for name in rubric_names()} == {
        "harm": 0.625,
        "helpfulness": 0.625,
        "k12": 0.375,
        "refusal_quality": 0.625,
    }


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"levels": {0: "bad", 2: "good"}}, "in a row"),
        ({"levels": {0: "bad"}}, "in a row"),
        ({"unsafe_from": 1}, "not both"),
        ({"unsafe_to": None}, "not both"),
        ({"unsafe_to": 1}, "some levels must be safe"),
        ({"unsafe_to": None, "unsafe_from": 0}, "some levels must be safe"),
        ({"unsafe_to": -3}, "is no level"),
        ({"examples": [{"prompt": "p", "level": 7, "reason": "r"}]}, "names no level"),
        ({"examples": [{"prompt": "p", "level": 1, "criteria": ["x"], "reason": "r"}]}, "names no level"),
        ({"criteria": [{"id": "Not an id", "text": "t"}]}, "criteria.0.id"),
        ({"control": {"reply": "r"}}, "control needs prompt and reply"),
        ({"question": None}, "question: Field required"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_rubric_that_does_not_hold_together_says_where(
    tmp_path: Path, changes: dict[str, object], complaint: str
) -> None:
    with pytest.raises(BadFileError, match=complaint):
        load_rubric(written(tmp_path, **changes))


def test_a_file_that_is_no_yaml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text("name: x\nlevels: [\n")
    with pytest.raises(BadFileError, match=r"bad\.yaml:3:1: Not YAML"):
        load_rubric(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot be read"):
        load_rubric(str(tmp_path / "none.yaml"))
