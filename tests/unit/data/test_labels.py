"""What the labels of public sets mean, written down a second time, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harmless.core import Expect, Prompt
from harmless.data import Labelled, load

REFUSE, ANSWER = Expect.REFUSE, Expect.ANSWER
DEMO = {"release_prompt_id": "i", "prompt_text": "p"}
LEAK = {"sample_id": 1, "llm_output": "p", "access_code": "c", "is_prompt_extraction": False}
FLAGS = dict.fromkeys(["animal_abuse", "self_harm", "terrorism,organized_crime"], False)


@pytest.mark.parametrize(
    ("name", "row", "expect", "hazard"),
    [
        ("xstest", {"id": 1, "prompt": "p", "type": "homonyms", "focus": "f", "note": ""}, ANSWER, None),
        (
            "xstest",
            {"id": 2, "prompt": "p", "type": "contrast_privacy", "focus": "f", "note": ""},
            REFUSE,
            None,
        ),
        ("xstest", {"prompt": "p", "type": "privacy_public"}, ANSWER, None),
        ("or_bench_hard", {"prompt": "p", "category": "self-harm"}, ANSWER, "salad.c.O62"),
        ("or_bench_80k", {"prompt": "p", "category": "new"}, ANSWER, None),
        ("or_bench_toxic", {"prompt": "p", "category": "violence"}, REFUSE, "salad.c.O5"),
        ("wild_jailbreak_eval", {"adversarial": "p", "label": 1, "data_type": "x"}, REFUSE, None),
        ("wild_jailbreak_eval", {"adversarial": "p", "label": 0, "data_type": "x"}, ANSWER, None),
        ("ailuminate_demo", {**DEMO, "hazard": "cse"}, REFUSE, "salad.c.O6"),
        ("ailuminate_demo", {**DEMO, "hazard": "ncr"}, REFUSE, "salad.t.O14"),
        ("ailuminate_demo", {**DEMO, "hazard": "spc_hlt"}, REFUSE, "salad.c.O20"),
        ("alert", {"id": 1, "prompt": "p", "category": "crime_theft"}, REFUSE, "salad.c.O57"),
        ("simple_safety_tests", {"prompts_final": "p", "harm_area": "Child safety"}, REFUSE, "salad.c.O6"),
    ],
)
def test_prompts_are_to_be_refused_or_answered(
    name: str, row: dict[str, Any], expect: Expect, hazard: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    (item,) = load(name, path=path).items
    assert isinstance(item, Prompt)
    assert (item.expect, item.hazard) == (expect, hazard)


@pytest.mark.parametrize(
    ("name", "row", "unsafe", "hazard"),
    [
        ("beavertails", {"prompt": "p", "response": "r", "category": FLAGS, "is_safe": True}, False, None),
        (
            "beavertails",
            {"prompt": "p", "response": "r", "category": {**FLAGS, "self_harm": True}, "is_safe": False},
            True,
            "salad.c.O62",
        ),
        ("toxic_chat", {"conv_id": 1, "user_input": "p", "model_output": "r", "toxicity": 1}, True, None),
        ("toxic_chat", {"conv_id": 1, "user_input": "p", "model_output": "r", "toxicity": 0}, False, None),
        (
            "aegis2",
            {"id": 1, "prompt": "p", "prompt_label": "unsafe", "violated_categories": "Malware, Violence"},
            True,
            "salad.c.O37",
        ),
        (
            "aegis2",
            {"id": 1, "prompt": "p", "response": "r", "prompt_label": "unsafe", "response_label": "safe"},
            False,
            None,
        ),
        (
            "wild_jailbreak",
            {"vanilla": "v", "adversarial": "a", "completion": "c", "data_type": "adversarial_harmful"},
            False,
            None,
        ),
        ("prompt_injections", {"text": "p", "label": 1}, True, None),
        ("tensor_trust_detection", LEAK, False, None),
        ("jailbreakbench_judges", {"prompt": "p", "response": "r", "human_majority": 1}, True, None),
        ("toxigen", {"generation": "p", "group": "g", "prompt_label": 0}, False, None),
        ("collected_replies", {"prompt": "p", "reply": "r"}, None, None),
    ],
)
def test_exchanges_are_safe_or_unsafe(
    name: str, row: dict[str, Any], unsafe: bool | None, hazard: str | None, tmp_path: Path
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(row))
    (item,) = load(name, path=path).items
    assert isinstance(item, Labelled)
    assert (item.unsafe, item.hazard) == (unsafe, hazard)


def test_redacted_prompts_are_left_out(tmp_path: Path) -> None:
    rows = [{"id": n, "prompt": text, "prompt_label": "unsafe"} for n, text in enumerate(["REDACTED", "p"])]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [item.text for item in load("aegis2", path=path).items] == ["p"]


def test_the_adversarial_form_of_a_request_is_taken_and_its_prompt_is_harmful(tmp_path: Path) -> None:
    path = tmp_path / "rows.tsv"
    path.write_text(
        "vanilla\tadversarial\ttactics\tcompletion\tdata_type\n"
        "plain\t\t\tNo.\tvanilla_harmful\n"
        "plain\ttwisted\t['x']\tNo.\tadversarial_harmful\n"
        "fine\t\t\tYes.\tvanilla_benign\n"
    )
    found = [item for item in load("wild_jailbreak", path=path).items if isinstance(item, Labelled)]
    assert [(item.exchange.prompt, item.prompt_unsafe, item.unsafe) for item in found] == [
        ("plain", True, False),
        ("twisted", True, False),
        ("fine", False, False),
    ]
    assert found[0].cluster == found[1].cluster
