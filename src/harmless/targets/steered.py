"""``steered:FOLDER:MODEL``: a local model with vectors added to its hidden states (extra ``hf``).

FOLDER holds ``steering.npz``, as ``harmless align steer`` writes it.
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

from harmless.core import digest
from harmless.errors import BadFileError, UsageError
from harmless.internals.layers import decoder_layers
from harmless.internals.model import LocalModel
from harmless.internals.steering import Steering, adding
from harmless.targets.hf import BATCH, HfTarget
from harmless.targets.local import open_model
from harmless.targets.options import TargetOptions

FILE = "steering.npz"


class SteeredTarget(HfTarget):
    """Answers as the model does while ``steering`` is added; see :class:`harmless.targets.hf.HfTarget`.

    The vectors stay in the model, which is this target's own, until the target is closed.
    """

    def __init__(self, local: LocalModel, steering: Steering, name: str, options: TargetOptions) -> None:
        super().__init__(
            local, batch_size=options.slots or options.concurrency or BATCH, context=options.context
        )
        parts = [f"{layer}:{digest(vector.tobytes().hex())}" for layer, vector in steering.vectors.items()]
        revision = digest(local.revision, *parts)
        self._info = self._info.model_copy(update={"name": name, "revision": revision})
        self._added = ExitStack()
        self._added.enter_context(adding(local, steering.vectors))

    async def aclose(self) -> None:
        """Take the vectors out, and give back the model."""
        self._added.close()
        await super().aclose()


def steered(argument: str, options: TargetOptions) -> SteeredTarget:
    """Return the target of ``FOLDER:MODEL``.

    Raises:
        UsageError: folder or model is missing, or the steering is for another model.
        BadFileError: the folder holds no steering.
    """
    folder, _, spec = argument.partition(":")
    if not folder or not spec:
        raise UsageError(f"'steered:{argument}' is not whole.", "Write steered:FOLDER:MODEL.")
    path = Path(folder) / FILE
    steering = Steering.load(path)
    local = open_model(spec, options.device)
    depth, width = len(decoder_layers(local.model)), local.model.config.hidden_size
    for layer, vector in steering.vectors.items():
        if not 1 <= layer <= depth or vector.shape != (width,):
            raise BadFileError(
                path,
                f"It steers layer {layer} by {vector.shape} numbers; {spec} has {depth} layers of {width}.",
                next_step="Make one for this model: harmless align steer TARGET",
            )
    return SteeredTarget(local, steering, f"steered:{Path(folder).name}:{local.name}", options)
