"""``harmless align steer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from harmless.cli.align_options import Sources, asked_for
from harmless.cli.console import out, print_json
from harmless.cli.options import Workspace, open_store

_SOURCES = Sources()


def steer(
    target: str,
    /,
    *,
    out_: Annotated[Path, Parameter(name="--out")],
    layer: int | None = None,
    strength: float = 1.0,
    sources: Sources = _SOURCES,
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
    from harmless.align.folders import assert_free
    from harmless.align.gather import Gathering, collected
    from harmless.align.run import MANIFEST, finished
    from harmless.align.steer import STEER, direction, write
    from harmless.targets.local import open_model

    asked = asked_for(target, STEER, sources) | {"layer": layer, "strength": strength}
    manifest = finished(out_, asked)
    if manifest is None:
        assert_free(out_, [MANIFEST], target)
        what = Gathering(
            sources=sources.data or OWN,
            limit=200 if sources.limit is None else sources.limit,
            evaluations=sources.evaluation,
            allow_non_commercial=sources.allow_non_commercial,
        )
        with open_store(workspace) as store:
            drafts, _ = collected(what, store)
        steering = direction(open_model(target, device), drafts, layer, strength)
        manifest = write(out_, steering, target, drafts, asked)
    if json:
        print_json(manifest)
        return
    out.print(f"Layer {manifest['layer']}, by {manifest['norm']:.3g}, from {manifest['prompts']} prompts.")
    out.print(f"Ask it: harmless check {manifest['target']}", soft_wrap=True)
