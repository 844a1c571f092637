"""Reading the package's own YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
OTHERS = FOLDER / "taxonomies"

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> dict[str, Any]:
    """Return the mapping in a YAML file, with the C parser where there is one (about ten times as fast)."""
    document: dict[str, Any] = yaml.load(path.read_bytes(), Loader=_Loader)
    return document
