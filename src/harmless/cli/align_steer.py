"""``harmless align steer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harmless.cli.align import Data
from harmless.cli.console import out, print_json
from harmless.cli.options import Workspace, open_store

_DATA = Data()


def steer(
    target: str,
    /,
    *,
    out_: Annotated[Path, Parameter(name="--out")],
    layer: int | None = None,
    strength: float = 1.0,
    data: Data = _DATA,
    device: str | None = None,
    json: bool = False,
    workspace: Workspace = None,
) -> None:
    """Add a direction to a model's hidden states that makes replies begin as those to harmful prompts do.

    No weight is trained. The result is the target steered:DIR:TARGET.

    Args:
        target: embedded, or a local model: hf:FOLDER, hf:OWNER/NAME.
        out_: folder to write.
        layer: which layer, 1 is the first; default: the one in the middle.
        strength: how many times the difference between harmful and benign prompts is added.
        device: cpu, gpu or a device of torch; default: a GPU if there is one.
        json: print one JSON document.
    """
    from harmless.align.drafts import OWN
    from harmless.align.gather import Gathering, collected
    from harmless.align.steer import direction, write
    from harmless.targets.local import open_model

    what = Gathering(
        sources=data.data or OWN,
        limit=data.limit or 200,
        evaluations=data.evaluation,
        allow_non_commercial=data.allow_non_commercial,
    )
    with open_store(workspace) as store:
        drafts, _ = collected(what, store)
    local = open_model(target, device)
    manifest = write(out_, direction(local, drafts, layer, strength), target, drafts)
    if json:
        print_json(manifest)
        return
    out.print(f"Layer {manifest['layer']}, by {manifest['norm']:.3g}, from {len(drafts)} prompts.")
    out.print(f"Ask it: harmless check {manifest['target']}", soft_wrap=True)
