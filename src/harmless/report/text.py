"""Text that others wrote, made fit to be shown: nothing hidden, nothing endless, nothing open by accident."""

from __future__ import annotations

import base64
import re

#: C0 and C1 controls, bidirectional controls, zero-width characters, tags, lone surrogates.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\ud800-\udfff\U000e0000-\U000e007f]"
)
_BREAKS = re.compile("\r\n?|[\u2028\u2029\x85]")


def visible(text: str) -> str:
    """Return ``text`` with each character that hides or reorders others as ``[U+202E]``.

    Text can be made to read otherwise than it is stored (Boucher and Anderson 2021, Trojan Source; Unicode
    TR 36): direction overrides, zero-width characters, tag characters. Line breaks of all kinds become ``\\n``.
    """
    return _UNSEEN.sub(lambda match: f"[U+{ord(match[0]):04X}]", _BREAKS.sub("\n", text))


def cut(text: str, limit: int) -> tuple[str, int]:
    """Return at most ``limit`` characters of ``text`` and how many were left out."""
    return text[:limit], max(len(text) - limit, 0)


def sealed(text: str) -> str:
    """Return ``text`` as base64 of UTF-8: neither a reader of the source nor a search engine meets it."""
    return base64.b64encode(visible(text).encode()).decode()
