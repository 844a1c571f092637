"""Addresses as they may be written down."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?<=://)[^\s'\"<>]+")
_ACCOUNT = re.compile(r"^[^/@]+(?=@)")
_VALUE = re.compile(r"([?&][^=&#]+)=[^&#]+")


def without_credentials(text: str) -> str:
    """Return a text with ``***`` for the user names, passwords and values of queries in its addresses."""
    return _ADDRESS.sub(lambda found: _VALUE.sub(r"\1=***", _ACCOUNT.sub("***", found[0])), text)
