"""The base of all models: frozen, and strict about unknown fields; and text that can always be written."""

from __future__ import annotations

import re
from typing import Annotated, TypeAlias

from pydantic import AfterValidator, BaseModel, ConfigDict

_SURROGATE = re.compile("[\ud800-\udfff]")


def _whole(text: str) -> str:
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


Text: TypeAlias = Annotated[str, AfterValidator(_whole)]
"""Text from outside: half a surrogate pair, which JSON can hold and UTF-8 cannot, becomes U+FFFD."""


class Model(BaseModel):
    """A frozen pydantic model that refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())
