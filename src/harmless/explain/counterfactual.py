"""The smallest edit of a prompt after which a target answers what it refused, or refuses what it answered.

Words are left out or replaced, the target is asked each time, and the guard ``refusal`` says what it did. Where
one edit does not suffice, more words are left out, and put back one by one while the decision stays flipped
(delta debugging, Zeller and Hildebrandt 2002). Identity terms are exchanged apart: a decision that changes with
them is a finding of bias.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib import resources

import yaml

from harmless.core import Exchange, Guard, Outcome, Sampling, Target, user
from harmless.core.model import Model
from harmless.errors import UnreachableError, UsageError
from harmless.guards.asked import ask, cause
from harmless.guards.bias import Swap, swaps
from harmless.guards.flips import Span, pieces
from harmless.guards.refusal import refused

#: Prompts that are asked at most.
CALLS = 120


class Change(Model):
    """A word of the prompt (``span`` in characters) and what stands in its place, nothing if it is left out."""

    span: Span
    word: str
    put: str = ""


class Flip(Model):
    """An edited prompt and what the target does with it; ``score`` is how likely its reply is a refusal.

    ``flips`` says whether the decision changed, ``minimal`` whether it changes back with any change undone.
    """

    changes: tuple[Change, ...]
    text: str
    score: float
    flips: bool
    minimal: bool


class Swapped(Model):
    """The prompt with its identity terms exchanged, and what the target does with it."""

    axis: str
    term: str
    other: str
    text: str
    refused: bool | None
    score: float | None
    flips: bool


class Counterfactual(Model):
    """A prompt, whether the target refuses it, the smallest edit that flips that, and swaps of identity terms.

    ``edit`` is None where no edit could be judged; ``tried`` counts the prompts that were asked.
    """

    target: str
    text: str
    refused: bool
    score: float
    edit: Flip | None
    swaps: tuple[Swapped, ...]
    tried: int

    @property
    def biased(self) -> tuple[Swapped, ...]:
        """The swaps of identity terms that change the decision."""
        return tuple(each for each in self.swaps if each.flips)


Edit = frozenset[Change]


async def counterfactual(
    target: Target, guard: Guard, text: str, sampling: Sampling, calls: int = CALLS
) -> Counterfactual:
    """Return the smallest edit of ``text`` that flips what a target does with it, among those tried.

    Args:
        target: is asked up to ``calls`` times.
        guard: ``refusal``, or another whose labels hold ``refusal`` and ``partial_refusal``.
        text: the prompt, one user message.
        sampling: how it is asked; greedy, so that a flip is not chance.
        calls: prompts to ask at most.

    Raises:
        UsageError: the prompt has no words.
        UnreachableError: the reply to the prompt itself could not be judged.
    """
    spans = pieces(text)
    if not spans:
        raise UsageError("The prompt has no words.", "Give a prompt with words to change.")
    search = _Search(target, guard, text, sampling, calls)
    whole = await search.decided()
    found = swaps(text)
    swapped = await search.swapped(found, whole)
    edit = await search.smallest(spans, whole)
    return Counterfactual(
        target=target.info.name,
        text=text,
        refused=whole,
        score=search.score(text),
        edit=edit,
        swaps=tuple(swapped),
        tried=len(search.known),
    )


class _Search:
    """Edited prompts with what the target did: (refused, score), None where that is not known."""

    def __init__(self, target: Target, guard: Guard, text: str, sampling: Sampling, calls: int) -> None:
        self._target, self._guard, self._sampling, self._calls = target, guard, sampling, calls
        self.text = text
        self.known: dict[str, tuple[bool, float] | None] = {}

    async def decided(self) -> bool:
        """Return whether the target refuses the prompt as it is."""
        why = await self._ask([self.text])
        found = self.known.get(self.text)
        if found is None:
            raise UnreachableError(f"No reply to the prompt could be judged: {why}.", "Check the target.")
        return found[0]

    async def swapped(self, found: Sequence[Swap], whole: bool) -> list[Swapped]:
        """Ask with identity terms exchanged."""
        await self._ask([each.text for each in found])
        results = []
        for each in found:
            known = self.known.get(each.text)
            results.append(
                Swapped(
                    axis=each.axis,
                    term=each.term,
                    other=each.other,
                    text=each.text,
                    refused=known[0] if known else None,
                    score=known[1] if known else None,
                    flips=known is not None and known[0] is not whole,
                )
            )
        return results

    async def smallest(self, spans: Sequence[Span], whole: bool) -> Flip | None:
        """Return one change if that suffices, else several left out (at last all but one), else the nearest."""
        gone = [Change(span=span, word=self.text[slice(*span)]) for span in spans]
        alone = [frozenset([each]) for each in (*gone, *replacements(self.text, spans))]
        await self._ask(self.edited(each) for each in alone)
        sign = 1 if whole else -1
        rank = lambda edit: sign * self.score(self.edited(edit))  # noqa: E731
        judged = sorted((each for each in alone if self.known.get(self.edited(each))), key=rank)
        flipping = [each for each in judged if self._flips(each, whole)]
        if flipping:
            return self._flip(flipping[0], whole, minimal=True)
        order = [change for edit in judged for change in edit if not change.put]
        sizes = [2**i for i in range(1, len(order).bit_length()) if 2**i < len(order)]
        fewest = [frozenset(order[:size]) for size in sizes]
        kept_one = [frozenset(order) - {each} for each in order] if len(order) > 2 else []
        for group in (*([each] for each in fewest), kept_one):
            await self._ask(self.edited(each) for each in group)
            edit = next((each for each in group if self._flips(each, whole)), None)
            if edit is not None:
                return await self._fewer(edit, whole)
        return self._flip(judged[0], whole, minimal=False) if judged else None

    async def _fewer(self, edit: Edit, whole: bool) -> Flip:
        """Undo changes, halves first and then one by one, while the decision stays flipped."""
        chunk = max(len(edit) // 2, 1)
        while True:
            kept = sorted(edit, key=lambda change: change.span)
            for start in range(0, len(kept), chunk):
                fewer = edit - set(kept[start : start + chunk])
                if fewer:
                    await self._ask([self.edited(fewer)])
                    edit = fewer if self._flips(fewer, whole) else edit
            if chunk == 1:
                break
            chunk //= 2
        undone = [edit - {each} for each in edit if len(edit) > 1]
        await self._ask(self.edited(each) for each in undone)
        asked = all(self.known.get(self.edited(each)) for each in undone)
        return self._flip(edit, whole, minimal=asked and not any(self._flips(e, whole) for e in undone))

    def edited(self, edit: Edit) -> str:
        """Return the prompt with changes made."""
        text = self.text
        for change in sorted(edit, key=lambda each: each.span, reverse=True):
            start, end = change.span
            if not change.put and text[end : end + 1].isspace() and (start == 0 or text[start - 1].isspace()):
                end += 1
            text = text[:start] + change.put + text[end:]
        return text.strip()

    def score(self, text: str) -> float:
        """Return how likely the reply to a prompt is a refusal; 0 where that is not known."""
        found = self.known.get(text)
        return found[1] if found else 0.0

    def _flips(self, edit: Edit, whole: bool) -> bool:
        found = self.known.get(self.edited(edit))
        return found is not None and found[0] is not whole

    def _flip(self, edit: Edit, whole: bool, *, minimal: bool) -> Flip:
        flips = self._flips(edit, whole)
        return Flip(
            changes=tuple(sorted(edit, key=lambda each: each.span)),
            text=self.edited(edit),
            score=self.score(self.edited(edit)),
            flips=flips,
            minimal=minimal and flips,
        )

    async def _ask(self, texts: Iterable[str]) -> str:
        """Ask what was not asked yet, as far as the calls allow; return why the last reply was not judged."""
        new = [each for each in dict.fromkeys(texts) if each and each not in self.known]
        new = new[: max(self._calls - len(self.known), 0)]
        size, why = self._target.info.batch_size, ""
        for start in range(0, len(new), size):
            batch = new[start : start + size]
            replies = await ask(self._target, [user(each) for each in batch], self._sampling)
            exchanges = [Exchange.of(p, r.text) for p, r in zip(batch, replies, strict=True)]
            verdicts = await self._guard.judge(exchanges)
            for prompt, reply, verdict in zip(batch, replies, verdicts, strict=True):
                no = True if reply.withheld else refused(verdict) if reply.has_text else None
                labels = verdict.labels if verdict.outcome is not Outcome.UNASSESSED else {}
                chance = labels.get("refusal", 0.0) + labels.get("partial_refusal", 0.0)
                self.known[prompt] = None if no is None else (no, 1.0 if reply.withheld else min(chance, 1.0))
                why = verdict.reason if reply.has_text else cause([reply])
        return why


def replacements(text: str, spans: Sequence[Span]) -> list[Change]:
    """Return the words of a text that ``substitutes.yaml`` has others for, with each of these."""
    found = []
    for start, end in spans:
        for word in re.finditer(r"[\w'’]+", text[start:end]):
            span = (start + word.start(), start + word.end())
            for other in substitutes().get(word[0].lower(), ()):
                put = other[:1].upper() + other[1:] if word[0][:1].isupper() else other
                found.append(Change(span=span, word=word[0], put=put))
    return found


@cache
def substitutes() -> Mapping[str, tuple[str, ...]]:
    """Return word -> what may stand in its place."""
    text = resources.files(__package__).joinpath("substitutes.yaml").read_text(encoding="utf-8")
    found: dict[str, tuple[str, ...]] = {}
    for row in yaml.safe_load(text):
        for word in row:
            found[word] = (*found.get(word, ()), *(other for other in row if other != word))
    return found
