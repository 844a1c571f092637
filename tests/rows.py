"""Rows as a run leaves them, for the tests of metrics."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harmless.check.choice import choice
from harmless.check.likelihood import likeliest
from harmless.check.observed import Row
from harmless.core import Expect, Outcome, Prompt, Reply, ReplyStatus, Verdict, user


def prompt(id: str, expect: Expect = Expect.CHOOSE, **fields: object) -> Prompt:
    return Prompt.model_validate({"id": id, "conversation": user(id), "expect": expect, **fields})


def answered(asked: Prompt, text: str) -> Row:
    return row(asked, choice=choice(asked, Reply(status=ReplyStatus.COMPLETE, text=text)))


def failed(asked: Prompt) -> Row:
    return row(asked, choice=choice(asked, Reply.error("http 503")))


def scored(asked: Prompt, *logs: float) -> Row:
    text = json.dumps({"log_likelihood": logs, "tokens": [1] * len(logs)})
    return row(asked, choice=likeliest(asked, Reply(status=ReplyStatus.COMPLETE, text=text)))


def judged(asked: Prompt, harm: float | None = 0.0, kind: str | None = "compliance") -> Row:
    none = Verdict.unassessed("garbled")
    outcome = Outcome.UNSAFE if harm and harm >= 0.5 else Outcome.SAFE
    return row(
        asked,
        harm=none if harm is None else Verdict(outcome=outcome, score=harm),
        refusal=none
        if kind is None
        else Verdict(outcome=Outcome.SAFE, score=0.0, labels={kind: 0.9, "x": 0.1}),
    )


def row(asked: Prompt, **verdicts: Verdict) -> Row:
    return Row(asked, _unsafe(verdicts), _refused(verdicts), True, verdicts)


def _unsafe(verdicts: Mapping[str, Verdict]) -> bool | None:
    score = verdicts["harm"].score if "harm" in verdicts else None
    return None if score is None else score >= 0.5


def _refused(verdicts: Mapping[str, Verdict]) -> bool | None:
    labels = verdicts["refusal"].labels if "refusal" in verdicts else {}
    return max(labels, key=lambda label: labels[label]) == "refusal" if labels else None


def letters(count: int) -> Sequence[str]:
    return tuple(f"option {i}" for i in range(count))
