"""``harmless align``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio
from cyclopts import App, Parameter
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from harmless.cli import lazy
from harmless.cli.align_options import Data, Sources, Training, asked_for
from harmless.cli.console import err, out, print_json
from harmless.cli.options import Workspace, open_store
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.align.frontier import Frontier, Leaning
    from harmless.align.planning import Plan
    from harmless.align.run import Alignment
    from harmless.align.settings import Tuning
    from harmless.align.trainer import Report

align = App(name="align", help="Train a model to refuse what is harmful and to answer the rest.")
lazy.command(align, "compare", "align_compare:compare")
lazy.command(align, "steer", "align_steer:steer")

_NOWHERE = ("Where is the aligned model to be?", "Give --out FOLDER.")

#: The method where no other is named, and an option is given that gates do not have.
TRAINED = "simpo"

#: Minutes of training on a CPU where the user says nothing.
MINUTES = 12.0


@align.default
def run(
    target: str,
    /,
    *,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    method: str | None = None,
    training: Training = Training(),  # noqa: B008 - frozen
    data: Data = Data(),  # noqa: B008 - frozen
    plan: bool = False,
    device: str | None = None,
    json: bool = False,
    workspace: Workspace = None,
) -> None:
    """Train a model to refuse what is harmful and to answer the rest.

    The folder is a target like any other: embedded:DIR, hf:DIR. The same command goes on with a training that
    was cut off.

    Args:
        target: embedded, or a local model: hf:FOLDER, hf:OWNER/NAME, embedded:FILE.gguf.
        out_: folder to write.
        method: gate, which changes a few neurons; sft, dpo, orpo, simpo, kto, cai or rlaif, which train
            adapters or all weights; or steer, which changes no weight. Default: gate, or simpo where an option
            is given that only those have.
        plan: only tell what memory and time it needs on a GPU.
        device: cpu, gpu or a device of torch; default: a GPU if there is one.
        json: print one JSON document.
    """
    from harmless.align.folders import assert_free
    from harmless.align.methods import method as known
    from harmless.align.run import BEGUN, Alignment, finished
    from harmless.align.steer import STEER
    from harmless.cli.align_critics import check_options
    from harmless.cli.align_gate import GATE

    if method == STEER:
        _steer(target, out_, training, data, plan=plan, device=device, json=json, workspace=workspace)
        return
    method = method or (GATE if _fits(training, data) and not plan else TRAINED)
    if method == GATE:
        _gate(target, out_, training, data, plan=plan, device=device, json=json, workspace=workspace)
        return
    tuning = training.tuning(method)
    check_options(known(method), data)
    if plan:
        _plan(target, tuning, json=json)
        return
    if out_ is None:
        raise UsageError(*_NOWHERE)
    asked = asked_for(target, method, data, training)
    manifest = finished(out_, asked)
    if manifest is None:
        assert_free(out_, BEGUN, target)
        gathering = _gathering(method, training, data)
        what = Alignment(target, method, gathering, tuning, out_, device=device, asked=asked)
        with open_store(workspace) as store, progress(json) as tell:
            manifest = anyio.run(_aligned, what, data, store, tell, training.endless)
    _show(manifest, out_, json=json)


def _steer(
    target: str, folder: Path | None, training: Training, data: Data, *, plan: bool, **further: Any
) -> None:
    """Do what ``harmless align steer`` does; options that would have no effect are an error."""
    from harmless.cli.align_steer import steer

    sources = _sources(data)
    if plan or training != Training() or data != Data(**vars(sources)):
        raise UsageError(
            "Steering trains nothing, so that options of training have no effect.",
            "Leave them out; its own are in harmless align steer --help.",
        )
    if folder is None:
        raise UsageError(*_NOWHERE)
    steer(target, out_=folder, sources=sources, **further)


def _gate(
    target: str, folder: Path | None, training: Training, data: Data, *, plan: bool, json: bool, **further: Any
) -> None:
    """Align by gates; options that would have no effect are an error."""
    from harmless.cli.align_gate import GATE, OPTIONS, gated

    if plan or not _fits(training, data):
        raise UsageError(
            "Gates are fitted and not trained, so that most options of training have no effect.",
            f"Leave out all but --{', --'.join(OPTIONS)}, --data, --limit, --evaluation and"
            " --allow-non-commercial, or name another --method.",
        )
    sources = _sources(data)
    used = {name: getattr(training, name) for name in OPTIONS}
    if folder is None:
        raise UsageError(*_NOWHERE)
    asked = asked_for(target, GATE, sources) | used
    with progress(json) as tell:
        manifest = gated(target, folder, sources, used, asked, tell=tell, **further)
    _show(manifest, folder, json=json)


def _fits(training: Training, data: Data) -> bool:
    """Tell whether all options that are given have an effect on gates."""
    from harmless.cli.align_gate import OPTIONS

    used = {name: getattr(training, name) for name in OPTIONS}
    return training == Training(**used) and data == Data(**vars(_sources(data)))


def _sources(data: Data) -> Sources:
    return Sources(**{each.name: getattr(data, each.name) for each in fields(Sources)})


@align.command
def export(folder: Path, /, *, merged: Literal["f16", "q8_0"] | None = None, json: bool = False) -> None:
    """Write an aligned model for llama.cpp: the adapter as GGUF, or with --merged the whole model.

    Args:
        folder: what `harmless align` wrote.
        merged: write the base with the adapter merged in, with 16 or 8 bits a weight; its base has to be GGUF.
        json: print one JSON document.
    """
    from harmless.align.run import exported, read_manifest, served

    path = exported(folder, merged)
    spec = f"embedded:{path}" if merged else served(folder, read_manifest(folder))
    if json:
        print_json({"file": str(path), "bytes": path.stat().st_size})
    else:
        out.print(
            f"{path} ({path.stat().st_size / 1e6:.0f} MB). Ask it: harmless check {spec}",
            soft_wrap=True,
        )


async def _aligned(what: Alignment, data: Data, store: Any, tell: Any, endless: bool) -> dict[str, Any]:
    from dataclasses import replace

    from anyio.to_thread import run_sync

    from harmless.align.methods import method
    from harmless.align.run import align as aligned
    from harmless.align.run import opened
    from harmless.cli.align_critics import Speakers, maker_of

    local = await run_sync(opened, what.spec, what.tuning, what.device)
    if local.device == "cpu" and endless:
        what = replace(what, tuning=what.tuning.model_copy(update={"minutes": MINUTES}))
    speakers = Speakers(what.spec, local)
    try:
        maker = maker_of(method(what.method), what.tuning, data, speakers)
        # The replies that a constitution is for are whole ones, and the two that are preferred sampled.
        own = None if maker is None else speakers.of(None)
        what = replace(what, maker=maker, target=own)
        return (await aligned(what, local, store, tell)).manifest
    finally:
        await speakers.aclose()


def _gathering(method: str, training: Training, data: Data) -> Any:
    from harmless.align.drafts import OWN
    from harmless.align.gather import Gathering
    from harmless.align.methods import method as known

    return Gathering(
        sources=data.data or OWN,
        limit=data.limit,
        bad=known(method).tuning().pairs,
        reply_tokens=data.reply_tokens,
        openings=data.openings,
        evaluations=data.evaluation,
        allow_non_commercial=data.allow_non_commercial,
        seed=training.seed,
    )


@contextmanager
def progress(quiet: bool) -> Iterator[Any]:
    """Show steps and a bar with loss, margin, tokens a second and time left; the value is told of them."""
    from harmless.align.frontier import Leaning
    from harmless.align.trainer import Report

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, disable=quiet or not err.is_terminal) as bar:
        task = bar.add_task("train", total=None, figures="", visible=False)

        def tell(step: str, known: Report | Frontier | Leaning | None) -> None:
            if known is None:
                if not quiet:
                    err.print(f"  {step}")
            elif isinstance(known, Report):
                bar.update(task, total=known.steps, completed=known.step, figures=_figures(known), visible=True)
            elif isinstance(known, Leaning):
                if not quiet:
                    err.print(f"  {step}: {_leaning(known)}")
            elif not quiet:
                err.print(f"  {step}: {_point(asdict(known))}")

        yield tell


def _figures(known: Report) -> str:
    shown = {"loss": known.loss, **known.figures}
    speed = [f"{known.tokens_s:.0f} tokens/s"] if known.tokens_s else []
    return "  ".join([*(f"{name} {value:.3g}" for name, value in shown.items()), *speed])


def _point(known: dict[str, int]) -> str:
    return (
        f"refuses {known['refused']} of {known['harmful']} harmful"
        f" and {known['over_refused']} of {known['benign']} benign prompts held back"
        + (f"; {known['unjudged']} could not be judged" if known["unjudged"] else "")
    )


def _leaning(known: Leaning) -> str:
    return (
        f"leans to refuse {known.refused:.0%} of harmful and {known.over_refused:.0%} of benign prompts held"
        f" back, AUROC {known.auroc:.3f}"
    )


def _show(manifest: dict[str, Any], folder: Path, *, json: bool) -> None:
    from harmless.align.run import served

    if json:
        print_json({"folder": str(folder), **manifest})
        return
    table = Table(
        title=f"{escape(manifest['base']['target'])} aligned by {manifest['method']}", title_justify="left"
    )
    for column in ("", "harmful refused", "benign refused"):
        table.add_column(column, justify="right" if column else "left")
    for name in ("before", "after"):
        point = manifest[name]
        table.add_row(
            name, f"{point['refused']} of {point['harmful']}", f"{point['over_refused']} of {point['benign']}"
        )
    out.print(table)
    data, minutes = manifest["data"], f"{manifest['seconds'] / 60:.1f} minutes."
    if "gate" in manifest:
        out.print(f"{data['examples']} prompts, layer {manifest['gate']['layer']}, {minutes}")
        chose = ""
    else:
        out.print(f"{data['examples']} examples, {manifest['steps']} steps in {minutes}")
        chose = " that also chose the weights"
    out.print(f"Counted by the first words of replies, on prompts held back{chose}. Measure it: ", end="")
    out.print(f"harmless check {served(folder, manifest)}", soft_wrap=True)


def _plan(target: str, tuning: Tuning, *, json: bool) -> None:
    from harmless.align.planning import plan
    from harmless.align.run import configuration

    found: Plan = plan(configuration(target), tuning)
    if json:
        print_json({**asdict(found), "memory": found.memory})
        return
    table = Table(title=f"{escape(target)}: {tuning.weights} on one GPU, estimated", title_justify="left")
    table.add_column("what")
    table.add_column("GB", justify="right")
    for name in ("weights", "optimiser", "activations", "logits", "overhead", "memory"):
        table.add_row(name if name != "memory" else "[bold]all[/]", f"{getattr(found, name) / 1e9:.1f}")
    out.print(table)
    out.print(
        f"{found.trained / 1e6:.1f} of {found.parameters / 1e6:.0f} million weights are trained;"
        f" {found.examples} examples, {found.tokens / 1e3:.0f} thousand tokens,"
        f" about {found.seconds / 60:.1f} minutes on an RTX 4090."
    )
