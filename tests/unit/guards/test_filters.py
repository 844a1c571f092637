"""What guards of one text at a time share, and how findings are covered."""

from __future__ import annotations

import threading
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict
from harmless.errors import UsageError
from harmless.guards.filters import Filter, arguments, number, text_of
from harmless.guards.redaction import redacted


class Shouting(Filter):
    """Finds capitals; the word POISON raises."""

    def __init__(self) -> None:
        super().__init__(GuardInfo(name="shouting", revision="1", sees="both"))
        self.seen = set[int]()

    def verdict(self, exchange: Exchange) -> Verdict:
        self.seen.add(threading.get_ident())
        text = text_of(exchange)
        if "POISON" in text:
            raise RuntimeError("bad item\nwith more lines")
        return self.found(
            [Finding(rule="capital", span=(i, i + 1), score=0.9) for i, c in enumerate(text) if c.isupper()],
            "quiet",
        )


def test_order_is_kept_and_a_poisoned_item_costs_only_itself() -> None:
    texts = ["a", "POISON", "Ab", "", "b"] * 5
    verdicts = anyio.run(Shouting().judge, [Exchange.of(text) for text in texts])
    one = [Outcome.SAFE, Outcome.UNASSESSED, Outcome.UNSAFE, Outcome.SAFE, Outcome.SAFE]
    assert [verdict.outcome for verdict in verdicts] == one * 5
    assert verdicts[1].reason == "shouting: RuntimeError: bad item"
    assert (verdicts[2].findings, verdicts[2].reason) == (
        (Finding(rule="capital", span=(0, 1), score=0.9),),
        "found capital",
    )
    assert verdicts[0].reason == "quiet"
    assert verdicts[0].latency_s > 0


def test_the_work_is_done_outside_of_the_event_loop() -> None:
    guard = Shouting()
    anyio.run(guard.judge, [Exchange.of("a")])
    assert threading.get_ident() not in guard.seen


def test_the_reply_is_looked_at_if_there_is_one() -> None:
    (verdict,) = anyio.run(Shouting().judge, [Exchange.of("LOUD", "quiet")])
    assert verdict.outcome is Outcome.SAFE


def test_no_exchanges_give_no_verdicts() -> None:
    assert anyio.run(Shouting().judge, []) == []


def test_words_and_options_are_told_apart() -> None:
    assert arguments("g", ("a", "b", "least=0.3"), ("least",)) == (["a", "b"], {"least": "0.3"})


@pytest.mark.parametrize("given", [("size=1",), ("least=",), ("least=1", "least=2")])
def test_an_option_that_is_unknown_empty_or_given_twice_is_a_usage_error(given: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=r"Options: least="):
        arguments("g", given, ("least",))


@pytest.mark.parametrize("value", ["x", "2", "-0.1", "nan"])
def test_a_number_out_of_range_is_a_usage_error(value: str) -> None:
    assert number("g", "least", "0.5") == 0.5
    with pytest.raises(UsageError, match="from 0 to 1"):
        number("g", "least", value)


def verdict(*findings: Any) -> Verdict:
    found = tuple(Finding(rule=rule, span=span, score=score) for rule, span, score in findings)
    return Verdict(outcome=Outcome.SAFE, score=0.0, findings=found)


def test_what_was_found_is_covered_by_its_name() -> None:
    said = verdict(("EMAIL", (6, 11), 1.0), ("NAME", (0, 3), 0.8), ("WHOLE", None, 1.0))
    assert redacted("Ada at a@b.c!", said) == "<NAME> at<EMAIL>c!"
    assert redacted("Ada at a@b.c!", said, mark="***", least=0.9) == "Ada at***c!"


def test_spans_that_overlap_are_covered_once_by_the_surest() -> None:
    said = verdict(("URL", (2, 6), 0.5), ("EMAIL", (0, 6), 1.0), ("TAIL", (5, 8), 0.2), ("NEXT", (8, 9), 0.1))
    assert redacted("0123456789", said) == "<EMAIL><NEXT>9"


def test_a_span_of_another_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="outside of a text of 3"):
        redacted("abc", verdict(("X", (2, 9), 1.0)))


@settings(deadline=None)  # the machine may be busy
@given(st.text(max_size=40), st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=6))
def test_all_that_is_not_covered_stays_in_order(text: str, pairs: list[tuple[int, int]]) -> None:
    spans = [(min(a, b), max(a, b)) for a, b in pairs if max(a, b) <= len(text)]
    covered = {i for start, end in spans for i in range(start, end)}
    kept = "".join(c for i, c in enumerate(text) if i not in covered)
    assert redacted(text, verdict(*(("x", span, 1.0) for span in spans)), mark="") == kept
