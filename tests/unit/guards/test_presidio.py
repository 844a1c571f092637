"""Personal data through Presidio, with a stand-in for its analyzer; tests/integrations runs the real one."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harmless import taxonomy
from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import MissingExtraError, UsageError
from harmless.guards import load
from harmless.guards import presidio as module
from harmless.guards.presidio import SHOWN, Pii, anonymised, known
from harmless.guards.redaction import redacted


class Analyzer:
    """Finds what it is told to, and keeps what it is asked."""

    def __init__(self, *results: tuple[str, int, int, float]) -> None:
        self._results = [
            SimpleNamespace(entity_type=kind, start=start, end=end, score=score)
            for kind, start, end, score in results
        ]
        self.asked: list[dict[str, Any]] = []

    def analyze(self, **asked: Any) -> list[Any]:
        self.asked.append(asked)
        if "poison" in asked["text"]:
            raise ValueError("no such language")
        return self._results

    def get_supported_entities(self, language: str) -> list[str]:
        return ["CREDIT_CARD", "PERSON"]


def judge(guard: Pii, *exchanges: Exchange | str) -> list[Verdict]:
    return anyio.run(guard.judge, [Exchange.of(e) if isinstance(e, str) else e for e in exchanges])


def test_the_text_is_sent_with_language_entities_and_confidence() -> None:
    analyzer = Analyzer()
    judge(Pii(analyzer), Exchange.of("Who?", "Ada."))
    judge(Pii(analyzer, ["PERSON"], language="de", least=0.7), "Wer?")
    assert analyzer.asked == [
        {"text": "Ada.", "language": "en", "entities": None, "score_threshold": 0.3},
        {"text": "Wer?", "language": "de", "entities": ["PERSON"], "score_threshold": 0.7},
    ]


def test_findings_have_places_and_the_surest_that_counts_is_the_score() -> None:
    analyzer = Analyzer(("PERSON", 0, 3, 0.85), ("CREDIT_CARD", 10, 26, 1.0), ("US_SSN", 30, 41, 0.5))
    (verdict,) = judge(Pii(analyzer), "Ada, card 4111111111111111 or 219-09-9999")
    assert (verdict.outcome, verdict.score) == (Outcome.UNSAFE, 1.0)
    assert [(f.rule, f.span, f.score, f.hazard) for f in verdict.findings] == [
        ("PERSON", (0, 3), SHOWN, "salad.c.O34"),
        ("CREDIT_CARD", (10, 26), 1.0, "salad.c.O34"),
        ("US_SSN", (30, 41), 0.5, "salad.c.O34"),
    ]
    covered = redacted("Ada, card 4111111111111111 or 219-09-9999", verdict)
    assert covered == "<PERSON>, card <CREDIT_CARD> or <US_SSN>"


def test_what_anyone_may_write_counts_only_if_it_is_asked_for() -> None:
    analyzer = Analyzer(("PERSON", 0, 3, 0.85))
    assert judge(Pii(analyzer), "Ada")[0].outcome is Outcome.SAFE
    assert judge(Pii(analyzer, ["PERSON"]), "Ada")[0].outcome is Outcome.UNSAFE


@pytest.mark.parametrize("result", [("X", 0, 3, 7.0), ("X", 0, 3, "?"), ("X", None, 3, 0.5)])
def test_a_result_that_is_none_is_unassessed(result: Any) -> None:
    (verdict,) = judge(Pii(Analyzer(result)), "Ada")
    assert (verdict.outcome, verdict.score) == (Outcome.UNASSESSED, None)


def test_an_item_that_fails_costs_only_itself() -> None:
    verdicts = judge(Pii(Analyzer()), "fine", "poison", "fine")
    assert [v.outcome for v in verdicts] == [Outcome.SAFE, Outcome.UNASSESSED, Outcome.SAFE]
    assert "no such language" in verdicts[1].reason


def test_the_revision_follows_what_may_change_a_verdict() -> None:
    guards = [
        Pii(Analyzer()), Pii(Analyzer(), model="2"), Pii(Analyzer(), ["PERSON"]), Pii(Analyzer(), least=0.9),
        Pii(Analyzer(), language="de"),
    ]  # fmt: skip
    assert len({guard.info.revision for guard in guards}) == len(guards)
    assert guards[2].info.name == "pii(PERSON)"
    assert not guards[0].info.leaves_machine
    assert taxonomy.load().hazard(known().hazard).key == known().hazard


def test_entities_and_options_are_read_from_the_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def make(spacy: str | None, language: str) -> tuple[Analyzer, str]:
        made.append((spacy, language))
        return Analyzer(("PERSON", 0, 3, 0.45)), "1"

    monkeypatch.setattr(module, "_analyzer", make)
    guard = load("pii(PERSON, spacy=en_core_web_sm, language=de, least=0.4)")
    assert made == [("en_core_web_sm", "de")]
    assert judge(guard, "Ada")[0].score == 0.45
    with pytest.raises(UsageError, match="It knows CREDIT_CARD, PERSON"):
        load("pii(FINGERPRINT)")
    with pytest.raises(UsageError, match="does not take 'colour=red'"):
        load("pii(colour=red)")


def test_without_presidio_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("presidio_analyzer", "presidio_anonymizer"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"harmless\[pii\]"):
        load("pii")
    with pytest.raises(MissingExtraError, match=r"harmless\[pii\]"):
        anonymised("Ada", Verdict(outcome=Outcome.SAFE, score=0.0))
