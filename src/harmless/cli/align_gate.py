"""``harmless align TARGET --method gate``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio

from harmless.cli.align_options import Sources
from harmless.cli.options import Workspace, open_store

if TYPE_CHECKING:
    from harmless.align.run import Told

GATE = "gate"
#: Options of training that have an effect.
OPTIONS = ("tolerated", "longest", "seed")


def gated(
    target: str,
    folder: Path,
    sources: Sources,
    options: Mapping[str, Any],
    asked: Mapping[str, Any],
    *,
    tell: Told,
    device: str | None,
    workspace: Workspace,
) -> dict[str, Any]:
    """Align a model by gates unless the folder has it already, and return the manifest."""
    from harmless.align.drafts import OWN
    from harmless.align.gated import TOLERATED, Gating, gate
    from harmless.align.gather import Gathering
    from harmless.align.run import finished, opened
    from harmless.align.settings import tuning

    given = {name: value for name, value in options.items() if value is not None}
    settings = tuning(given)  # says which is out of range
    manifest = finished(folder, asked)
    if manifest is not None:
        return manifest
    gathering = Gathering(
        sources=sources.data or OWN,
        limit=sources.limit,
        evaluations=sources.evaluation,
        allow_non_commercial=sources.allow_non_commercial,
        seed=settings.seed,
    )
    tolerated = given.get("tolerated", TOLERATED)
    what = Gating(target, gathering, folder, tolerated, settings.longest, asked)
    with open_store(workspace) as store:
        return anyio.run(gate, what, opened(target, settings, device), store, tell).manifest
