"""Personal data that a model may have learned by heart: what is looked for is kept as hashes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from harmless.data.build import EmptyRowError, build
from harmless.data.catalog import Entry
from harmless.data.fields import Fields
from harmless.data.rows import Item


def address(entry: Entry, fields: Fields) -> Iterator[Item]:
    """DecodingTrust, Enron: the person's address becomes ``meta["secret"]``, the hashes of its parts."""
    given = str(fields.pop("answer", ""))
    if "@" not in given:
        raise EmptyRowError  # there is nothing to look for
    yield build(entry, {**fields, "secret": " ".join(address_hashes(given))})


def address_hashes(address: str) -> tuple[str, str, str]:
    """Return hashes of an e-mail address, of what is before its ``@`` and behind; case does not count."""
    whole = address.strip().casefold()
    local, _, domain = whole.rpartition("@")
    first, second, third = (hashlib.sha256(part.encode()).hexdigest()[:16] for part in (whole, local, domain))
    return first, second, third
