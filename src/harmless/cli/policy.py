"""``harmless policy``."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from harmless.check import load_policy
from harmless.cli.console import out


def policy(file: Path | None = None, /) -> None:
    """Print the default policy to start from, or check a policy file.

    Args:
        file: YAML file to check.
    """
    if file is None:
        print((resources.files("harmless.check") / "default_policy.yaml").read_text(encoding="utf-8"), end="")
        return
    rules = load_policy(file)
    hazards = ", ".join(rules.hazards) or "all"
    out.print(f"{file} is a policy: hazards {hazards}; grades {', '.join(b.grade for b in rules.grades)}.")
