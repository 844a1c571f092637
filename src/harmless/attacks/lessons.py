"""What is learnt from the failures of a run: drafts of rules and training rows, and a suite that asks again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harmless.attacks.barred import Barred
from harmless.attacks.draft_rules import DraftedRules, as_yaml, draft_rules
from harmless.attacks.failures import Failure, failures, run_of
from harmless.core import Conversation, Expect, Prompt, digest
from harmless.core.model import Model
from harmless.data.overlap import overlap
from harmless.errors import UsageError
from harmless.evidence import Store

RULES, ROWS, PREFERENCES, REGRESSION = "rules.yaml", "rows.jsonl", "preferences.jsonl", "regression.jsonl"
NAMES = (RULES, ROWS, PREFERENCES, REGRESSION)


class Lessons(Model):
    """What was drafted from the failures of a run.

    ``rows`` train a guard (``benign`` of them are the same frames around benign requests; ``near_benign``
    harmful ones were left out as they nearly are benign training rows), ``preferences`` a model;
    ``regression`` prompts are asked again by ``harmless check --suite``. ``barred`` says of how many objectives
    nothing but the frame was learnt, and why: they are to be measured on.
    """

    run: str
    target: str
    failures: int
    barred: dict[str, int]
    rules: DraftedRules
    rows: int
    benign: int
    near_benign: int
    preferences: int
    regression: int


class Drafts(Model):
    """The lessons with the files that hold them, name -> text."""

    lessons: Lessons
    files: dict[str, str]

    def foreign(self, folder: Path) -> list[Path]:
        """Return the files of such names in a folder that hold something else: of another run, or edited."""
        texts = {name: self.files.get(name, "").encode(errors="backslashreplace") for name in NAMES}
        there = (folder / name for name in NAMES)
        return [path for path in there if path.is_file() and path.read_bytes() != texts[path.name]]

    def write(self, folder: Path) -> list[Path]:
        """Write the files into a folder; UsageError if that is not possible."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, text in self.files.items():
                (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
        except OSError as error:
            raise UsageError(
                f"Nothing can be written to {folder}: {error.strerror or error}.", "Choose another --out."
            ) from error
        return [folder / name for name in self.files]


def learn(store: Store, run: str) -> Drafts:
    """Draft rules, rows, preferences and a regression suite from the failures of a check or an attack.

    Objectives that are for evaluation are in the regression suite only; of the prompts that attacks made of
    them, the frame is read for rules.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: the run is neither a check nor an attack, or nothing failed in it.
        MissingExtraError: the extra ``data`` is not installed.
    """
    record = run_of(store, run)
    found = failures(store, record.id)
    if not found:
        raise UsageError(f"Nothing failed in the run {record.id}.", "There is nothing to learn from it.")
    barred = Barred(found, record.suite)
    free = _once(each for each in found if each not in barred)
    rules = draft_rules(found, barred, record.id)
    (harmful, near), benign = _harmful(free, record.id), _benign(free, record.id)
    preferences = [_preference(each, record.id) for each in free if each.reply.strip()]
    regression = [_prompt(each, record.id) for each in _once(found)]
    lessons = Lessons(
        run=record.id,
        target=record.target.name,
        failures=len(found),
        barred=barred.counts(),
        rules=rules,
        rows=len(harmful) + len(benign),
        benign=len(benign),
        near_benign=near,
        preferences=len(preferences),
        regression=len(regression),
    )
    files = {
        RULES: as_yaml(rules.file) if rules.file.rules else "",
        ROWS: _lines([*harmful, *benign]),
        PREFERENCES: _lines(preferences),
        REGRESSION: _lines(regression),
    }
    return Drafts(lessons=lessons, files={name: text for name, text in files.items() if text})


def _once(found: Iterable[Failure]) -> list[Failure]:
    """Return the failures without those that said the same for the same objective."""
    return list({(each.objective.id, each.conversation): each for each in found}.values())


def _harmful(found: Sequence[Failure], run: str) -> tuple[list[dict[str, Any]], int]:
    """Return training rows, and how many were left out as they nearly are benign ones."""
    texts = list(dict.fromkeys(each.text for each in found))
    near = {match.b for match in overlap(_own_benign(), texts).matches}
    known = {each.text: each.objective for each in found}
    rows = [_row(text, known[text], run, unsafe=True) for place, text in enumerate(texts) if place not in near]
    return rows, len(near)


def _benign(found: Sequence[Failure], run: str) -> list[dict[str, Any]]:
    """Return the frames of failing prompts around benign requests: the frame alone is no harm."""
    benign = _own_benign_by_hazard()
    rows: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(found):
        objective, hazard = each.objective.text, each.objective.hazard or ""
        requests = benign.get(hazard) or benign[""]
        if objective in each.text and objective != each.text:
            text = each.text.replace(objective, requests[number % len(requests)])
            rows.setdefault(text, _row(text, each.objective, run, unsafe=False))
    return list(rows.values())


def _own_benign() -> list[str]:
    return sorted({text for texts in _own_benign_by_hazard().values() for text in texts})


def _own_benign_by_hazard() -> Mapping[str, list[str]]:
    """Return hazard -> benign sides of our own training pairs; all of them for no hazard."""
    from harmless.guards.train import own

    found: dict[str, list[str]] = {"": []}
    for pair in own.contrast_pairs():
        found[""].append(pair["benign"])
        found.setdefault(pair["hazard"], []).append(pair["benign"])
    return found


def _row(text: str, objective: Prompt, run: str, *, unsafe: bool) -> dict[str, Any]:
    about = {"hazard": objective.hazard, "source": f"run {run}", "licence": objective.licence}
    return {"text": text, "unsafe": unsafe, **about}


def _preference(failure: Failure, run: str) -> dict[str, Any]:
    """Return an example to align on, without the good reply, which `harmless align` finds."""
    wanted = ("prompt", "messages", "expect", "hazard", "source", "licence")
    row = _prompt(failure, run)
    return {name: row[name] for name in wanted if name in row} | {"bad": failure.reply}


def _prompt(failure: Failure, run: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "id": digest(failure.objective.id, failure.conversation, length=10),
        **_said(failure.conversation),
        "expect": Expect.REFUSE.value,
        "hazard": failure.objective.hazard,
        "objective": failure.objective.text,
        "cluster": failure.objective.cluster or failure.objective.id,
        "source": f"run {run} {failure.attack}",
        "licence": failure.objective.licence,
    }
    return {name: value for name, value in row.items() if value}


def _said(conversation: Conversation) -> dict[str, Any]:
    if len(conversation) == 1:
        return {"prompt": conversation[0].content}
    return {"messages": [message.model_dump() for message in conversation]}


def _lines(rows: Iterable[Mapping[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
