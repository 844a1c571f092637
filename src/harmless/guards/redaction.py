"""Cover in a text what a verdict found there."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Finding, Verdict


def redacted(text: str, verdict: Verdict, mark: str = "<{rule}>", least: float = 0.0) -> str:
    """Return the text with a mark in place of each span that the verdict's findings name.

    Spans that overlap are covered as one, under the name of the one with the highest score.

    Args:
        text: what was judged: the reply if there was one, else the prompt.
        verdict: of any guard whose findings have spans; findings without one cover nothing.
        mark: what stands there instead; ``{rule}`` is what was found.
        least: findings with a lower score stay.

    Raises:
        ValueError: a span lies outside of the text, which is then another one than was judged.
    """
    found = [each for each in verdict.findings if each.span and each.score >= least]
    parts, at = [], 0
    for start, end, rule in _merged(found):
        if not 0 <= start <= end <= len(text):
            raise ValueError(f"the span {start}:{end} lies outside of a text of {len(text)} characters")
        parts += [text[at:start], mark.replace("{rule}", rule)]
        at = end
    return "".join([*parts, text[at:]])


def _merged(findings: Sequence[Finding]) -> list[tuple[int, int, str]]:
    merged: list[tuple[int, int, Finding]] = []
    for each in sorted(findings, key=lambda each: each.span or (0, 0)):
        start, end = each.span or (0, 0)
        if merged and start < merged[-1][1]:
            first, last, named = merged[-1]
            merged[-1] = (first, max(last, end), each if each.score > named.score else named)
        else:
            merged.append((start, end, each))
    return [(start, end, each.rule) for start, end, each in merged]
