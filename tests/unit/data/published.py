"""Rows in the published schema of every set of the catalog, with texts of our own.

Values are by our field names; a layout of the catalog puts them under the published columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harmless import taxonomy
from harmless.data.catalog import Columns, Entry, HazardOf, Lookup

_DIALOGUE = "\n\nHuman: Hello there\n\nAssistant: Hello\n\nHuman: And now?\n\nAssistant: "

#: What readers want, by the reader and the field.
_VALUES: Mapping[str, Mapping[str, Any]] = {
    "choices.salad_mcq": {"choices": "A. one; B. two; C. three;", "answer": "AC"},
    "choices.numbered": {"choices": ["one", "two", "three", "four"], "answer": 2},
    "choices.truthfulqa": {"right": ["yes", "surely"], "wrong": ["no"]},
    "choices.truthfulqa_choice": {"choices": ["yes", "no", "never"], "labels": [1, 0, 0]},
    "choices.bbq": {
        "polarity": "neg",
        "condition": "ambig",
        "info": {"ans0": ["old", "old"], "ans1": ["young", "nonOld"], "ans2": ["Not known", "unknown"]},
        "stereotyped": ["old"],
        "answer": 2,
    },
    "choices.crows_pairs": {"direction": "antistereo"},
    "choices.stereoset": {"sentences": {"sentence": ["a", "b", "c"], "gold_label": [2, 1, 0]}},
    "choices.winobias": {"line": "1 [The baker] met the clerk because [she] was late."},
    "dialogues.hh_preference": {"chosen": f"{_DIALOGUE}Fine.", "rejected": f"{_DIALOGUE}Bad."},
    "dialogues.hh_red_team": {"transcript": f"{_DIALOGUE}Well.", "tags": None},
    "dialogues.turns": {"turns": ["One text"], "style": "base"},
    "dialogues.pku_preference": {"safer": 1},
    "dialogues.ultrafeedback": {
        "completions": [
            {"response": "good", "overall_score": 9.0},
            {"response": "bad", "overall_score": 2},
            {"response": "unrated", "overall_score": "N/A"},
        ]
    },
    "dialogues.chat_preference": {
        side: [{"role": "user", "content": "Some text"}, {"role": "assistant", "content": side}]
        for side in ("chosen", "rejected")
    },
    "privacy.address": {"answer": "jo.doe@example.com"},
    "labels.flags": {"S": 0, "H": 1, "V": 0, "HR": 0, "SH": 0, "S3": 0, "H2": 0, "V2": 0},
    "labels.categories": {"categories": {"self_harm": True, "child_abuse": False}},
    "labels.toxigen": {"toxicity_ai": 3.0, "toxicity_human": 4.0},
    "labels.artifacts": {
        "parameters": {"method": "PAIR", "model": "some-model"},
        "jailbreaks": [
            {
                "index": 0,
                "goal": "a goal",
                "behavior": "a behaviour",
                "category": "Disinformation",
                "prompt": "Some text",
                "response": "A reply",
                "jailbroken": True,
            }
        ],
    },
    "documents.tree": {"document": {"a name": ["Some text", "Another"]}},
    "documents.bold": {"texts": ["Some text", "Another"], "document": {"group": {"name": ["Some text"]}}},
}


def row_of(entry: Entry, columns: Columns) -> dict[str, Any]:
    """Return one row with the columns of a layout and values that its labels and its reader allow."""
    values = dict(_VALUES.get(entry.reader or "", {}))
    for rule in (entry.expect, entry.unsafe, entry.prompt_unsafe, entry.refused):
        if isinstance(rule, Lookup) and rule.by:
            values.setdefault(rule.by, next(iter(rule.map)))
    if isinstance(entry.hazard, HazardOf):
        values.setdefault(entry.hazard.by, _category(entry.hazard))
    for field, wanted in entry.where.items():
        values.setdefault(field, wanted[0])
    row: dict[str, Any] = {}
    for field, column in columns.items():
        value = values.get(field, f"Some {field}")
        if column == "*":
            return dict(value)
        _put(row, column, value)
    return row


def _category(rule: HazardOf) -> str:
    if rule.spine:
        return taxonomy.load().leaves[0].label
    return next(iter(rule.map), "vcr")


def _put(row: dict[str, Any], column: str, value: Any) -> None:
    head, dot, rest = column.partition(".")
    if dot:
        _put(row.setdefault(head, {}), rest, value)
    else:
        row[column] = value
