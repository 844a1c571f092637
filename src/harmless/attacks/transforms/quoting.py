"""How a text is written inside another format, and read back."""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Mapping


def _to_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _from_json(text: str) -> str:
    found = json.loads(text)
    if not isinstance(found, str):
        raise ValueError("not a string of JSON")
    return found


def _to_csv(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _from_csv(text: str) -> str:
    return text[1:-1].replace('""', '"')


def _to_comment(text: str) -> str:
    return "# " + text.replace("\n", "\n# ")


def _from_comment(text: str) -> str:
    return text[2:].replace("\n# ", "\n")


def _same(text: str) -> str:
    return text


#: Name -> (write, read).
QUOTES: Mapping[str, tuple[Callable[[str], str], Callable[[str], str]]] = {
    "none": (_same, _same),
    "json": (_to_json, _from_json),
    "xml": (html.escape, html.unescape),
    "csv": (_to_csv, _from_csv),
    "comment": (_to_comment, _from_comment),
}
