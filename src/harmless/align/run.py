"""Align a model: gather examples, train, and leave a folder that is a target like any other."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

from anyio.to_thread import run_sync

from harmless.align import export, further, lora, network
from harmless.align.checkpoint import Progress
from harmless.align.constitutional import Maker
from harmless.align.encoding import Encoded, encoded
from harmless.align.examples import Example, data_hash
from harmless.align.folders import assert_free
from harmless.align.frontier import Frontier, Leaning, few, held_back, measure
from harmless.align.gather import KEPT, TRAIN, Gathered, Gathering, assert_both_kinds, counts_of, gather
from harmless.align.settings import Tuning
from harmless.align.speaker import Speaker
from harmless.align.trainer import Observer, Report, Training, enough_memory
from harmless.core import Target, digest
from harmless.errors import BadFileError, UsageError
from harmless.evidence import Store
from harmless.internals.model import LocalModel, base_of, first_line
from harmless.targets import local as places
from harmless.targets import models
from harmless.targets.adapters import MERGED_GGUF, adapted

#: What the folder says of itself.
MANIFEST = "align.json"

Told: TypeAlias = Callable[[str, Report | Frontier | Leaning | None], None]
"""Gets the name of what is done now, and what is known of it."""

DATA, _WORK = "data", "training"

#: What is in a folder that an alignment began.
BEGUN = (MANIFEST, _WORK, f"{DATA}/{KEPT}", f"{DATA}/{TRAIN}")

_README = "README.md"


@dataclass(frozen=True)
class Alignment:
    """What to align, on what, and how.

    Args:
        spec: the model: ``embedded``, ``hf:...``, or what else :func:`harmless.targets.local.open_model` opens.
        method: named in the manifest.
        gathering: which examples.
        tuning: how the weights are changed.
        out: the folder that is written; a training that was cut off there goes on.
        maker: makes the replies to harmful prompts, where they are not our own templates'.
        target: gives the model's own replies, where they are long or sampled; None for short greedy ones.
        device: where the model runs; None takes a GPU if there is one.
        asked: what a command asked for, which the manifest keeps for :func:`finished`.
    """

    spec: str
    method: str
    gathering: Gathering
    tuning: Tuning
    out: Path
    maker: Maker | None = None
    target: Target | None = None
    device: str | None = None
    asked: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Aligned:
    """What came of it: the folder, its manifest, and where the model stood before and after."""

    folder: Path
    manifest: dict[str, Any]
    before: Frontier
    after: Frontier


async def align(
    what: Alignment,
    local: LocalModel,
    store: Store | None = None,
    tell: Told = lambda step, known: None,
) -> Aligned:
    """Align a model and return what came of it; ``local`` is the model that ``what.spec`` names.

    Raises:
        TrainingFailedError: the loss or a gradient is not a number, or the memory is too small.
        GateFailedError: a prompt to train on is one of an evaluation suite.
        UsageError: the folder to write holds something else, or there are not both kinds of prompts.
        HarmlessError: see :func:`harmless.align.gather.gather` and :class:`harmless.align.trainer.Training`.
    """
    assert_free(what.out, BEGUN, what.spec)
    tell("gather examples, and the model's own replies", None)
    gathered = await gather(
        what.target or Speaker(local), what.gathering, what.out / DATA, store=store, maker=what.maker
    )
    gathered.write(what.out / DATA)
    trees = encoded(local, gathered.train, what.tuning)
    assert_both_kinds(gathered.train, trees.examples, trees.left_out)
    tell(f"train on {len(trees.trees)} examples; left out: {counts_of(_left_out(gathered, trees))}", None)
    tell("ask the model before it is trained", None)
    asked = few(gathered.development)
    with enough_memory():
        before = await _before(local, asked, what.out / DATA)
    tell("before", before)
    base = local.revision
    trained = await run_sync(lora.trainable, local, what.tuning)
    if not local.device.startswith("cpu"):
        lora.spare_memory(trained)
    training = Training(
        trained,
        trees,
        asked,
        what.tuning,
        what.out / _WORK,
        what.tuning.key(data_hash(gathered.train), base),
        held_back(trained, asked, what.tuning),
    )
    tell("train", None)
    progress = await training.run(_observer(tell))
    with enough_memory():
        after = await measure(trained, asked)
    tell("after", after)
    manifest = _manifest(what, base, gathered, trees, progress)
    manifest |= {"before": asdict(before), "after": asdict(after)}
    tell("write the model", None)
    manifest["files"] = await run_sync(write_model, what.spec, what.tuning, what.out, trained)
    (what.out / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(what.out / _WORK)
    return Aligned(what.out, manifest, before, after)


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what an aligned model's folder says of itself; UsageError if it is none."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        raise UsageError(
            f"{folder} holds no finished alignment.", "The command that began it goes on with it."
        ) from None


def finished(folder: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the manifest of a folder that holds what is asked for, None if it holds nothing finished.

    Raises:
        UsageError: it holds what another command made; says what differs.
    """
    if not (folder / MANIFEST).is_file():
        return None
    manifest = read_manifest(folder)
    known = manifest.get("asked")
    if not known:
        made = f"{manifest['base']['target']} by {manifest['method']}"
        raise UsageError(f"{folder} holds what another command made, {made}.", "Take another --out.")
    differing = [name for name in {**asked, **known} if known.get(name) != asked.get(name)]
    if differing:
        told = "; ".join(f"{name} was {known.get(name)}, now {asked.get(name)}" for name in differing)
        raise UsageError(
            f"{folder} holds the result of something else: {told}.",
            "Take another --out, or give the command that made it.",
        )
    return manifest


def served(folder: Path, manifest: dict[str, Any]) -> str:
    """Return the spec by which the aligned model of a folder is asked."""
    bundled = manifest["base"]["target"].partition(":")[0] == places.BUNDLED
    return f"{places.BUNDLED if bundled and 'adapter.gguf' in manifest['files'] else 'hf'}:{folder}"


async def _before(local: LocalModel, asked: Sequence[Example], folder: Path) -> Frontier:
    """Return where the model stood before training; kept, because a training that goes on no longer has it."""
    path = folder / f"before-{digest(local.revision, data_hash(asked))[:16]}.json"
    if path.is_file():
        return Frontier(**json.loads(path.read_text(encoding="utf-8")))
    found = await measure(local, asked)
    path.write_text(json.dumps(asdict(found)), encoding="utf-8")
    return found


def _observer(tell: Told) -> Observer:
    return lambda known: tell("train", known)


def _manifest(
    what: Alignment, base: str, gathered: Gathered, trees: Encoded, progress: Progress
) -> dict[str, Any]:
    replies = {"replies": what.maker.described} if what.maker else {}
    return {
        "method": what.method,
        "asked": dict(what.asked),
        "base": {"target": what.spec, "revision": base},
        "tuning": what.tuning.model_dump(mode="json"),
        **replies,
        "data": {
            "hash": gathered.card.data_hash,
            "examples": len(trees.trees),
            "left_out": _left_out(gathered, trees),
            "licences": dict(gathered.card.by_licence),
            "sources": dict(gathered.card.by_source),
        },
        "steps": progress.steps,
        "seconds": round(progress.seconds, 1),
        "history": progress.history,
        "versions": {name: version(name) for name in ("harmless", "torch", "transformers", "peft")},
    }


def _left_out(gathered: Gathered, trees: Encoded) -> dict[str, int]:
    return dict(Counter(gathered.card.left_out) + Counter(trees.left_out))


def write_model(spec: str, tuning: Tuning, folder: Path, local: LocalModel) -> list[str]:
    """Write the trained weights and the tokenizer, and return the names of the files in the folder."""
    name, earlier = base_name(spec), places.adapter_of(spec)
    readme = folder / _README
    own = readme.read_bytes() if readme.is_file() else None
    if tuning.weights == "full":
        local.model.save_pretrained(folder)
    else:
        for config in local.model.peft_config.values():
            config.base_model_name_or_path = name
        local.model.save_pretrained(folder, save_embedding_layers=False)
        if earlier:
            further.combine(folder, earlier)
    local.tokenizer.save_pretrained(folder)
    if own is None:
        readme.unlink(missing_ok=True)  # peft's, which has nothing to say
    else:
        readme.write_bytes(own)
    if tuning.weights != "full" and local.model.config.model_type in export.KINDS:
        export.write_adapter(folder, local.model.config)
    return sorted(each.name for each in folder.iterdir() if each.is_file())


def exported(folder: Path, merged: export.Form | None = None) -> Path:
    """Write an aligned model for llama.cpp and return the file: its adapter, or with ``merged`` all of it.

    Raises:
        UsageError: the folder holds no finished alignment, a steering, or all weights were trained.
        BadFileError: the base is not a GGUF file, which merging needs.
    """
    manifest = read_manifest(folder)
    if "tuning" not in manifest:
        raise UsageError(
            f"{folder} holds a steering, which is no part of a model's file.", f"Ask {manifest['target']}."
        )
    if manifest["tuning"]["weights"] == "full":
        raise UsageError(
            "All weights were trained, so there is no adapter.", "Use convert_hf_to_gguf.py of llama.cpp."
        )
    config = configuration(base_of(folder))
    if merged is None:
        return export.write_adapter(folder, config)
    base = adapted(folder).model
    return export.write_merged(folder, config, base, folder / MERGED_GGUF.format(form=merged), merged)


def configuration(spec: str) -> Any:
    """Return the configuration of a model, from transformers; no weights are loaded.

    Raises:
        BadFileError: it cannot be read.
    """
    import transformers

    name = base_name(spec)
    path = Path(name)
    where, further = (str(path.parent), {"gguf_file": path.name}) if path.suffix == ".gguf" else (name, {})
    if not path.exists() and (name == places.BUNDLED or name in models.known_models()):
        where = str(places.dequantised(None if name == places.BUNDLED else name))
    try:
        return transformers.AutoConfig.from_pretrained(where, **further)
    except (OSError, ValueError) as error:
        raise BadFileError(
            name,
            f"Its configuration cannot be read: {first_line(error)}",
            next_step="Give a folder or a hub id.",
        ) from None


def base_name(spec: str) -> str:
    """Return how an adapter names its base: what stands behind the kind, a path from the root.

    Of a model with an adapter it is the base of that, as both are saved as one.
    """
    earlier = places.adapter_of(spec)
    if earlier:
        return base_of(earlier)
    kind, _, rest = spec.partition(":")
    named = rest if kind in ("hf", places.BUNDLED) and rest else spec
    return str(Path(named).resolve()) if Path(named).exists() else named


def opened(spec: str, tuning: Tuning, device: str | None = None) -> LocalModel:
    """Return the model to train; in 4 bits for ``qlora``, and with an adapter that it has already merged in.

    Raises:
        UsageError: ``qlora`` without a GPU or over an adapter, or the target is no model that can be opened, or
            none that can be trained in packs.
        MissingExtraError: torch, transformers, peft or bitsandbytes is not installed.
    """
    local = _opened(spec, tuning, device)
    network.assert_packs(local, tuning.longest)
    return local


def _opened(spec: str, tuning: Tuning, device: str | None) -> LocalModel:
    earlier = places.adapter_of(spec)
    if tuning.weights == "qlora":
        if earlier:
            raise UsageError(
                f"The adapter of {earlier} cannot be merged into 4 bits.",
                "Take --weights lora, or align its base once, on the data of both.",
            )
        from harmless.align.quantised import open_quantised

        return open_quantised(spec, device)
    local = places.open_model(spec, device)
    return further.merged(local, earlier) if earlier else local
