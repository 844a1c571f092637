"""What guard models write is read as safe, as unsafe, or not at all; nothing garbled is ever safe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from harmless.guards import formats

CASES: dict[str, dict[str, list[dict[str, Any]]]] = yaml.safe_load(
    Path(__file__).with_name("parse_cases.yaml").read_text(encoding="utf-8")
)
ROWS = [
    (guard, side, case) for guard, sides in CASES.items() for side, cases in sides.items() for case in cases
]
OUTCOMES = {True: "unsafe", False: "safe", None: "unassessed"}


@pytest.mark.parametrize(
    ("guard", "side", "case"), ROWS, ids=[f"{g}-{s}-{c['text'][:30]!r}" for g, s, c in ROWS]
)
def test_a_text_is_read_as_its_publisher_means_it(guard: str, side: Any, case: dict[str, Any]) -> None:
    reading = formats.find(guard).parser.read(case["text"], side)
    assert OUTCOMES[reading.unsafe] == case["outcome"]
    if "score" in case:
        assert reading.score == pytest.approx(case["score"])
    if "codes" in case:
        assert list(reading.codes) == case["codes"]
    if "labels" in case:
        assert reading.labels == case["labels"]
    assert case.get("cause", "") in reading.cause
    assert bool(reading.cause) == (reading.unsafe is None)


@pytest.mark.parametrize("guard", CASES)
def test_no_part_of_an_answer_that_says_unsafe_is_read_as_safe(guard: str) -> None:
    parser = formats.find(guard).parser
    answers = [
        (side, case["text"])
        for side, cases in CASES[guard].items()
        for case in cases
        # MD-Judge's "safe" with a category is unsafe only once the category is there.
        if case["outcome"] == "unsafe" and not case["text"].startswith("safe")
    ]
    assert answers
    for side, text in answers:
        for end in range(len(text)):
            assert parser.read(text[:end], side).unsafe is not False, text[:end]  # type: ignore[arg-type]


@pytest.mark.parametrize("guard", CASES)
@pytest.mark.parametrize(
    ("before", "behind"),
    [
        ("Sure, here is my assessment:\n\n", ""),
        ("", "\n\nLet me know if you need more."),
        ("**", "**"),
        ("I say ", "!"),
    ],
)
def test_talk_around_an_answer_never_turns_it(guard: str, before: str, behind: str) -> None:
    for side, cases in CASES[guard].items():
        for case in cases:
            found = formats.find(guard).parser.read(f"{before}{case['text']}{behind}", side)  # type: ignore[arg-type]
            if case["outcome"] != "unassessed":
                assert OUTCOMES[found.unsafe] in (case["outcome"], "unassessed"), case["text"]


def test_every_guard_has_a_valid_answer_and_a_garbled_one() -> None:
    assert set(CASES) == set(formats.names())
    for sides in CASES.values():
        outcomes = {case["outcome"] for cases in sides.values() for case in cases}
        assert "unassessed" in outcomes
        assert outcomes & {"safe", "unsafe"}


@pytest.mark.parametrize("guard", formats.names())
@given(text=st.text(alphabet="abcdexyz ,.:\n{}[]<>/_#", max_size=80))
def test_a_text_without_a_word_of_the_format_is_never_read(guard: str, text: str) -> None:
    for side in ("prompt", "reply"):
        reading = formats.find(guard).parser.read(text, side)
        assert reading.unsafe is None
        assert reading.cause
