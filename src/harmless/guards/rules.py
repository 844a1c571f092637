"""The guard of patterns and word lists: precise, explainable, thousands of texts a second."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal, TypeAlias

import anyio.lowlevel

from harmless.core import Exchange, Finding, GuardInfo, Outcome, Verdict, digest
from harmless.guards import normalise
from harmless.guards.checksums import iban, luhn
from harmless.guards.normalise import View
from harmless.guards.patterns import PatternError, Vocabulary, check_work, compile_raw, needs
from harmless.guards.prefilter import Group, Prefilter, required
from harmless.guards.rulefile import Rule, RuleFile, blame, default_files, read

WINDOW, OVERLAP = 4096, 256
"""Characters that are searched at once, and how many of them again with the next: long texts in linear time."""

Side: TypeAlias = Literal["prompt", "reply"]
SIDES: tuple[Side, ...] = ("prompt", "reply")
FIELDS: tuple[Literal["pattern", "unless"], ...] = ("pattern", "unless")

ENGINE = 1
"""Part of the revision; changes when the same rules may find something else."""

DEFAULT = "default"
"""What stands for our own rules among the files of a guard."""

MAX_FINDINGS = 20
"""Findings of one rule in one text; more add nothing to a verdict."""

_WORD = re.compile(r"\w+")
_CHECKS = {None: lambda text: True, "luhn": luhn, "iban": iban}


class _Search:
    """A rule that compiles its patterns when a text first calls for them."""

    def __init__(self, rule: Rule, vocabulary: Vocabulary) -> None:
        self.rule = rule
        self._vocabulary = Vocabulary({"words": rule.words}) if rule.words else vocabulary
        self._source = "{words}" if rule.words else rule.pattern
        self._hashed = frozenset(rule.hashed)

    @cached_property
    def needs(self) -> list[Group]:
        """Groups of letters of which a text must have a piece each to be searched."""
        if not self._source:
            return []
        return required(self._source) if self.rule.view == "raw" else needs(self._source, self._vocabulary)

    @cached_property
    def pattern(self) -> re.Pattern[str] | None:
        """What is looked for, None for hashed words."""
        return self._compile(self._source) if self._source else None

    @cached_property
    def unless(self) -> list[re.Pattern[str]]:
        """What must not be anywhere in the text."""
        return [self._compile(source) for source in self.rule.unless]

    def check(self, field: Literal["pattern", "unless"]) -> None:
        """Raise PatternError if the patterns of ``field`` cannot be used or may stall."""
        patterns = self.unless if field == "unless" else [self.pattern] if self.pattern else []
        for pattern in patterns:
            check_work(pattern.pattern)

    def spans(self, view: View) -> list[tuple[int, int]]:
        """Return (start, end) in the original of every match in a view."""
        if self.rule.view == "raw" and not all(
            any(piece in view.text for piece in group) for group in self.needs
        ):
            return []
        check = _CHECKS[self.rule.check]
        found = [match for match in self._matches(view.text) if check(view.text[slice(*match)])]
        if found and any(pattern.search(view.text) for pattern in self.unless):
            return []
        return [view.span(*match) for match in found]

    def _matches(self, text: str) -> Iterator[tuple[int, int]]:
        if self.pattern is None:
            if not self._hashed.isdisjoint(map(word_hash, _WORD.findall(text))):
                yield from (m.span() for m in _WORD.finditer(text) if word_hash(m[0]) in self._hashed)
            return
        for start, end in _windows(text):
            yield from (m.span() for m in self.pattern.finditer(text, start, end) if m[0])

    def _compile(self, source: str) -> re.Pattern[str]:
        if self.rule.view == "raw":
            return compile_raw(source)
        return self._vocabulary.compiled(source)


class Rules:
    """Judges by rules: the last user message by those for prompts, or the reply by those for replies.

    The score is that of the gravest rule that matched, 0 if none did. A text is never passed on to others.
    """

    def __init__(self, files: Sequence[tuple[RuleFile, Sequence[_Search]]]) -> None:
        searches = list({search.rule.id: search for _, found in files for search in found}.values())
        self._sides = {side: _side(searches, side) for side in SIDES}
        self._info = GuardInfo(
            name="rules",
            revision=digest(ENGINE, [file for file, _ in files]),
            sees="both",
            hazards=tuple(sorted({search.rule.hazard for search in searches if search.rule.hazard})),
            licence="Apache-2.0",
            batch_size=256,
        )

    @property
    def info(self) -> GuardInfo:
        """Name, revision (a digest of the rule files) and the hazards that the rules name."""
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Return one verdict an exchange, in order; one that fails is unassessed with its cause."""
        verdicts = []
        for number, exchange in enumerate(exchanges):
            if number % 64 == 0:
                await anyio.lowlevel.checkpoint()
            verdicts.append(self._verdict(exchange))
        return verdicts

    def _verdict(self, exchange: Exchange) -> Verdict:
        started = time.perf_counter()
        try:
            reply = exchange.reply
            findings = self.find(exchange.prompt) if reply is None else self.find(reply, "reply")
        except Exception as error:
            return Verdict.unassessed(f"rules: {type(error).__name__}: {error}")
        score = max((finding.score for finding in findings), default=0.0)
        named = dict.fromkeys(finding.rule for finding in findings)
        return Verdict(
            outcome=Outcome.UNSAFE if score >= self._info.threshold else Outcome.SAFE,
            score=score,
            findings=tuple(findings),
            reason=f"matched {', '.join(named)}" if named else "no rule matched",
            latency_s=time.perf_counter() - started,
        )

    def find(self, text: str, side: Side = "prompt") -> list[Finding]:
        """Return what the rules for one side find in a text, in order of place."""
        searches, prefilter = self._sides[side]
        spans: dict[int, set[tuple[int, int]]] = {}
        for kind, view in _views(text):
            for number in prefilter.candidates(view.text):
                if searches[number].rule.view in kind:
                    spans.setdefault(number, set()).update(searches[number].spans(view))
        findings = [
            Finding(hazard=rule.hazard, rule=rule.id, span=span, score=rule.score)
            for rule, found in ((searches[number].rule, found) for number, found in spans.items())
            for span in _merged(found)[:MAX_FINDINGS]
        ]
        return sorted(findings, key=lambda finding: (finding.span, finding.rule))


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return spans in order, those that overlap as one: readings of a text may find the same words."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _side(searches: Sequence[_Search], side: Side) -> tuple[list[_Search], Prefilter]:
    chosen = [search for search in searches if search.rule.applies in (side, "both")]
    return chosen, Prefilter([search.needs for search in chosen])


def _views(text: str) -> Iterator[tuple[tuple[str, ...], View]]:
    """Yield the readings of a text with the views of rules that they serve."""
    folded = normalise.plain(text)
    yield ("raw",), normalise.raw(text)
    yield ("plain", "loose"), folded
    for reading in normalise.loose(folded):
        yield ("loose",), reading


def rules(*files: str) -> Rules:
    """Return the guard of our own rules, or of the rule files given.

    ``default`` stands for our own, and the name of one of them (``secrets``, ``pii``, ``fraud``, ...) for that
    one; where two files have a rule of the same id, the later one counts.

    Raises:
        BadFileError: a file cannot be used; with line and column.
    """
    own = {path.stem: [path] for path in default_files()}
    own[DEFAULT] = default_files()
    found = []
    for file in files or (DEFAULT,):
        for path in own.get(file, [Path(file)]):
            found.append(_searches(path, trusted=file in own))
    return Rules(found)


def _searches(path: Path, *, trusted: bool) -> tuple[RuleFile, list[_Search]]:
    """Return a file and its searches; those of a file that no test has seen are checked here."""
    file = read(path)
    vocabulary = Vocabulary(file.sets, file.parts)
    searches = [_Search(rule, vocabulary) for rule in file.rules]
    for number, search in enumerate([] if trusted else searches):
        for field in FIELDS:
            try:
                search.check(field)
            except PatternError as error:
                where = ("rules", number, field)
                raise blame(path, where, f"rule '{search.rule.id}': {field} {error}.") from None
    return file, searches


@lru_cache(maxsize=1 << 14)
def word_hash(word: str) -> str:
    """Return how a rule file spells a folded word that it hashes: 16 hex digits of its SHA-256."""
    return hashlib.sha256(word.encode()).hexdigest()[:16]


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Yield overlapping (start, end) that cover a text; a window ends between words where it can."""
    start = 0
    while (end := start + WINDOW) < len(text):
        space = text.rfind(" ", start + WINDOW // 2, end)
        end = space if space > 0 else end
        yield start, end
        start = end - OVERLAP
    yield start, len(text)
