"""Deterministic digests of models and plain data."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel


def canonical(value: Any) -> str:
    """Return JSON with sorted keys and no white space, the same on every machine."""
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain, allow_nan=False
    )


def digest(*values: Any, length: int = 16) -> str:
    """Return the first ``length`` hex digits of the SHA-256 over the canonical JSON of ``values``."""
    return digest_of(*map(canonical, values), length=length)


def digest_of(*texts: str, length: int = 16) -> str:
    """Return the digest of values from the canonical JSON of each."""
    return hashlib.sha256(f"[{','.join(texts)}]".encode()).hexdigest()[:length]


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    raise TypeError(f"{type(value).__name__} has no canonical form")
