"""Hashed n-gram features, the same in training and at run time.

Text is folded (NFKC, lower case, everything that is neither letter, digit nor apostrophe is a word
boundary), then character n-grams of 2 to 5 within padded words and word n-grams of 1 and 2 are hashed into
``2**bits`` columns, after the hashing trick of Weinberger et al., 2009. A whole batch is hashed at once on
one array of code points: a window's hash is a difference of prefix sums of ``code * M**position`` modulo
2**64 (Rabin and Karp, 1987), mixed by the finaliser of MurmurHash3. No Python loop runs over characters.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

BITS = 18
ORDERS = (2, 3, 4, 5)
MAX_CHARS = 8192

_SEPARATOR = "\0"
_TABLE = 128
_APOSTROPHES = {0x2018: "'", 0x2019: "'", 0x02BC: "'", 0: " "}
_MULTIPLIER = 0x5851F42D4C957F2D
_INVERSE = pow(_MULTIPLIER, -1, 1 << 64)


@dataclass(frozen=True)
class Features:
    """A sparse matrix in compressed rows: ``counts[indptr[i]:indptr[i + 1]]`` belong to text ``i``.

    ``columns`` are sorted and unique within a row; ``rows`` repeats the row of every entry.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    counts: NDArray[np.float32]
    size: int

    @property
    def indptr(self) -> NDArray[np.int64]:
        """Where each row starts, with the number of entries at the end."""
        return np.searchsorted(self.rows, np.arange(self.size + 1))

    def take(self, index: NDArray[np.int64]) -> Features:
        """Return the features of the texts ``index``, in that order."""
        ends = self.indptr
        lengths = ends[index + 1] - ends[index]
        entries = np.repeat(ends[index] - np.cumsum(lengths) + lengths, lengths) + np.arange(lengths.sum())
        rows = np.repeat(np.arange(len(index)), lengths)
        return Features(rows, self.columns[entries], self.counts[entries], len(index))


def hashed(texts: Sequence[str], bits: int = BITS, salt: int = 0) -> Features:
    """Return the counts of the hashed n-grams of every text.

    ``salt`` moves all features to other columns, so that two views of an exchange (prompt and reply) can
    share one table. Of a text longer than ``MAX_CHARS`` the head and the tail are kept.
    """
    codes, spaces, rows = _stream(texts)
    prefix, inverse = _prefix_sums(codes)
    keys = [*_char_ngrams(prefix, inverse, spaces, rows), *_word_ngrams(prefix, inverse, spaces, rows)]
    windows, owners = (np.concatenate(parts) for parts in zip(*keys, strict=True))
    columns = _mix(windows ^ np.uint64(salt * 0x9E3779B97F4A7C15 & (1 << 64) - 1)) & np.uint64((1 << bits) - 1)
    packed = np.sort((owners.astype(np.int64) << bits) | columns.astype(np.int64))
    starts = np.flatnonzero(np.concatenate(([True], packed[1:] != packed[:-1]))) if len(packed) else packed
    counts = np.diff(np.concatenate((starts, [len(packed)]))).astype(np.float32)
    unique = packed[starts]
    return Features(unique >> bits, unique & ((1 << bits) - 1), counts, len(texts))


def fold(text: str) -> str:
    """Return ``text`` in NFKC, lower case and with plain apostrophes, cut to ``MAX_CHARS`` characters."""
    if len(text) > MAX_CHARS:
        text = text[: MAX_CHARS // 2] + " " + text[-MAX_CHARS // 2 :]
    if text.isascii():
        return text.lower().replace(_SEPARATOR, " ")
    return unicodedata.normalize("NFKC", text).lower().translate(_APOSTROPHES)


def words(texts: Sequence[str]) -> list[list[tuple[int, int]]]:
    """Return the (start, end) of every word of each text in characters, as the features cut them."""
    codes = np.frombuffer((_SEPARATOR.join(texts) + _SEPARATOR).encode("utf-32-le", "surrogatepass"), np.uint32)
    inside = np.concatenate(([0], _is_word(codes).astype(np.int8)))
    starts, ends = np.flatnonzero(np.diff(inside)).reshape(-1, 2).T
    begins = np.cumsum([0, *(len(text) + 1 for text in texts)])
    owners = np.searchsorted(starts, begins).tolist()
    spans = list(zip(starts.tolist(), ends.tolist(), strict=True))
    return [
        [(start - begin, end - begin) for start, end in spans[first:last]]
        for begin, (first, last) in zip(begins.tolist(), pairwise(owners), strict=False)
    ]


def _stream(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.bool_], NDArray[np.int64]]:
    """Return code points, whether each is a boundary, and its text, with single boundaries between words."""
    joined = _SEPARATOR + _SEPARATOR.join([fold(text) for text in texts]) + _SEPARATOR
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    inside = _is_word(codes)
    ends = codes == 0
    keep = inside | ends
    keep[1:] |= inside[:-1]
    codes, inside, ends = codes[keep], inside[keep], ends[keep]
    return np.where(inside, codes, 32).astype(np.uint64), ~inside, np.cumsum(ends) - 1


@cache
def _word_table() -> NDArray[np.bool_]:
    return np.array([chr(code).isalnum() or chr(code) == "'" for code in range(_TABLE)])


def _is_word(codes: NDArray[np.uint32]) -> NDArray[np.bool_]:
    ascii_word = _word_table()[np.minimum(codes, _TABLE - 1)]
    if not len(codes) or codes.max() < _TABLE:
        return ascii_word
    punctuation = (
        (codes < 0xC0) | ((codes >= 0x2000) & (codes < 0x2070)) | ((codes >= 0x3000) & (codes < 0x3040))
    )
    return np.where(codes < _TABLE, ascii_word, ~punctuation)


@cache
def _powers(size: int) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    factors = np.empty((2, size), np.uint64)
    factors[0], factors[1], factors[:, 0] = _MULTIPLIER, _INVERSE, 1
    forward, backward = np.cumprod(factors, axis=1, dtype=np.uint64)
    return forward, backward


def _prefix_sums(codes: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return P with P[i] = sum of codes[j] * M**j for j < i, and the powers of 1/M."""
    size = 1 << (len(codes) + 1).bit_length()
    forward, backward = _powers(size)
    prefix = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(codes * forward[: len(codes)], out=prefix[1:])
    return prefix, backward


def _char_ngrams(
    prefix: NDArray[np.uint64], inverse: NDArray[np.uint64], spaces: NDArray[np.bool_], rows: NDArray[np.int64]
) -> list[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    found = []
    no_inner_space = np.ones(len(spaces), bool)
    for order in range(2, max(ORDERS) + 1):
        count = max(len(spaces) - order + 1, 0)
        if order == 2:
            valid = ~(spaces[:-1] & spaces[1:])
        else:
            valid = no_inner_space = no_inner_space[:count] & ~spaces[order - 2 : order - 2 + count]
        starts = np.flatnonzero(valid)
        window = (prefix[starts + order] - prefix[starts]) * inverse[starts]
        found.append((window + np.uint64(order), rows[starts]))
    return found


def _word_ngrams(
    prefix: NDArray[np.uint64], inverse: NDArray[np.uint64], spaces: NDArray[np.bool_], rows: NDArray[np.int64]
) -> list[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    edges = np.flatnonzero(np.diff(spaces.astype(np.int8)))
    starts, ends = edges[::2] + 1, edges[1::2] + 1
    unigrams = _mix((prefix[ends] - prefix[starts]) * inverse[starts] + np.uint64(101))
    owners = rows[starts]
    together = owners[1:] == owners[:-1]
    bigrams = (unigrams[:-1] * np.uint64(3) + unigrams[1:])[together] + np.uint64(102)
    return [(unigrams, owners), (bigrams, owners[1:][together])]


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return ``values`` through the 64-bit finaliser of MurmurHash3."""
    shift = np.uint64(33)
    values = (values ^ (values >> shift)) * np.uint64(0xFF51AFD7ED558CCD)
    values = (values ^ (values >> shift)) * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> shift)
