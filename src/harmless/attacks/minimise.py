"""The shortest part of a prompt that still succeeds: delta debugging (Zeller and Hildebrandt 2002, ddmin)."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

_WORD = re.compile(r"\S+\s*")


class Minimal(NamedTuple):
    """What is left of a prompt.

    ``minimal`` says that no single word can be left out; it is False where the calls were used up before that
    was known. ``calls`` is how often it was tried.
    """

    text: str
    minimal: bool
    calls: int


class _Spent(Exception):  # noqa: N818 - not an error: the way in which the search ends
    """There are no calls left."""


async def minimise(text: str, succeeds: Callable[[str], Awaitable[bool]], calls: int) -> Minimal:
    """Return the words of ``text`` that suffice for ``succeeds``, in their order.

    Args:
        text: a prompt that succeeds.
        succeeds: says whether a shorter prompt does. Where that is a matter of chance, let it ask several
            times: a lucky success leads the search astray.
        calls: how often ``succeeds`` may be awaited; equal prompts are tried once.

    Returns:
        The shortest prompt found; ``text`` itself where nothing can be left out, or where it does not succeed.
    """
    search = _Search(succeeds, calls)
    words = _WORD.findall(text)
    try:
        if not await search.tried(words):
            return Minimal(text, minimal=False, calls=search.made)
        await search.reduce(words)
    except _Spent:
        return Minimal(_joined(search.best) or text, minimal=False, calls=search.made)
    return Minimal(_joined(search.best), minimal=True, calls=search.made)


class _Search:
    def __init__(self, succeeds: Callable[[str], Awaitable[bool]], calls: int) -> None:
        self.best: Sequence[str] = ()
        self.made = 0
        self._succeeds, self._calls = succeeds, calls
        self._known: dict[str, bool] = {}

    async def reduce(self, words: Sequence[str]) -> None:
        """Leave out parts, first large ones, until no single word can be left out."""
        parts = 2
        while len(words) > 1:
            chunks = _split(words, parts)
            smaller = await self._first(chunks)
            if smaller is not None:
                words, parts = smaller, 2
                continue
            smaller = await self._first(_without(chunks)) if parts > 2 else None
            if smaller is not None:
                words, parts = smaller, parts - 1
            elif parts == len(words):
                return
            else:
                parts = min(2 * parts, len(words))

    async def tried(self, words: Sequence[str]) -> bool:
        """Return whether these words succeed; the latest that do are the best, as the search only shortens."""
        text = _joined(words)
        if text not in self._known:
            if self.made == self._calls:
                raise _Spent
            self.made += 1
            self._known[text] = await self._succeeds(text)
        if self._known[text]:
            self.best = words
        return self._known[text]

    async def _first(self, candidates: Sequence[Sequence[str]]) -> Sequence[str] | None:
        for words in candidates:
            if await self.tried(words):
                return words
        return None


def _split(words: Sequence[str], parts: int) -> list[Sequence[str]]:
    """Return the words in so many parts that differ by one word at most."""
    edges = [len(words) * i // parts for i in range(parts + 1)]
    return [words[start:end] for start, end in pairwise(edges)]


def _without(chunks: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    return [[word for j, chunk in enumerate(chunks) if j != i for word in chunk] for i in range(len(chunks))]


def _joined(words: Sequence[str]) -> str:
    return "".join(words).strip()
