"""The main job: walk the loop once and prove the difference."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harmless import guards, report
from harmless.align.proof import Proof, Standing, prove
from harmless.attacks.trial import LESSONS, Attacked, Attacking, Learnt, Trial
from harmless.check import CheckOptions, Comparison, Progress, check, compare
from harmless.check.recorded import RecordedTarget
from harmless.check.run import Start
from harmless.core import Guard, Policy, Target
from harmless.data import Suite
from harmless.errors import GateFailedError, UsageError
from harmless.evidence import Store
from harmless.targets.guarded import GuardedTarget

if TYPE_CHECKING:
    from harmless.align.run import Aligned, Told

#: Time that weights are trained for where the method is not `gate`, in minutes.
MINUTES = 2.5
#: Examples of each source that they are trained on, and prompts of each that a gate is fitted on: 2,000 take
#: five and a half minutes of two cores.
EXAMPLES, PROMPTS = 160, 1200


@dataclass(frozen=True, slots=True)
class Aligning:
    """How :func:`make_harmless` also trains the target.

    Args:
        spec: names the model to train, as :func:`harmless.align.run.align` takes it.
        method: a method of ``harmless align``.
        folder: where the aligned model is written; one that is there already is taken.
        load: opens the target of a spec.
        tell: told what is done.
        measured: what the target is checked with, of which nothing may be trained on.
    """

    spec: str
    method: str
    folder: Path
    load: Callable[[str], Target]
    tell: Callable[[str], None] = lambda step: None
    measured: tuple[Suite, ...] = ()


@dataclass(frozen=True, slots=True)
class Made:
    """The outcome of :func:`make_harmless`: what changed, and where the report is.

    Where the target was aligned, ``proof`` has it as it was, behind the guard, aligned, and both; ``best`` is
    the one of them that the comparison is with. Where it was attacked, ``attacked`` says how much less gets
    through to what it became.
    """

    comparison: Comparison
    report: Path
    proof: Proof | None = None
    best: str = ""
    attacked: Attacked | None = None


async def make_harmless(
    target: Target,
    guard: str,
    suite: Suite,
    policy: Policy,
    store: Store,
    judges: Mapping[str, Guard],
    options: CheckOptions,
    *,
    out: Path,
    attacking: Attacking | None = None,
    aligning: Aligning | None = None,
    started: Callable[[Start], None] = lambda _: None,
    observe: Callable[[Progress], None] = lambda _: None,
) -> Made:
    """Check ``target``, put ``guard`` in front of it, check again on the same prompts, write the report.

    With ``attacking`` the target is also attacked, and what breaks it becomes rules of the guard and examples
    of the alignment; at the end the attack is made again, see :mod:`harmless.attacks.trial`. With ``aligning``
    the target is also trained, and checked with and without the guard; the comparison is then with the best
    combination, see :func:`best_of`. A guarded check sees the replies of the check before where
    the guard lets a prompt pass, so the comparison is of the guard alone. Questions with options are answered
    by letter, as a guard changes no likelihood. Raises what :func:`harmless.check.check`,
    :class:`harmless.attacks.trial.Trial` and :func:`harmless.align.run.align` raise.
    """
    options = replace(options, likelihood=False)
    trial = Trial(suite, attacking, options, policy, store, judges, out / LESSONS) if attacking else None
    front = guards.load(guard, policy)

    async def checked(*each: Target) -> dict[str, Target]:
        """Check targets, and return them by their runs."""
        found = {}
        for asked in each:
            done = await check(asked, suite, policy, store, judges, options, started=started, observe=observe)
            found[done.run] = asked
        return found

    def guarded(each: Target) -> Target:
        return GuardedTarget(front, RecordedTarget(each, store), policy)

    targets, learnt = await checked(target), None
    if trial:
        learnt = await trial.learn(target)
        front = trial.guard(front, learnt)
    targets |= await checked(guarded(target))
    before, best = targets
    proof, name = None, ""
    async with AsyncExitStack() as stack:
        if aligning:
            model = aligning.load(await _aligned(replace(aligning, measured=(suite,)), store, learnt))
            stack.push_async_callback(model.aclose)
            targets |= await checked(model, guarded(model))
            proof = prove(store, list(targets))
            name, best = best_of(proof, policy)
            report.write_proof(proof, out)
        attacked = await trial.again(targets[best], learnt) if trial and learnt else None
    paths = report.write(store, best, before=before, out=out, attacked=attacked)
    return Made(compare(store, before, best), paths[0], proof, name, attacked)


def best_of(proof: Proof, policy: Policy) -> tuple[str, str]:
    """Return the best of the four combinations in words, and its run.

    That is the one with the fewest unsafe replies among those that refuse no more benign prompts than the
    policy tolerates; if all refuse more, the one with the fewest of both mistakes together. It is chosen on
    the prompts that it is measured on, so that its rates flatter it a little.
    """
    names = ("the model as it is", f"the guard alone ({proof.standings[1].target})", "alignment alone")
    known = dict(zip((*names, "alignment with the guard"), proof.standings, strict=True))

    def mistakes(each: Standing) -> tuple[float, float, float]:
        unsafe, refused = (1.0 if rate.rate is None else rate.rate for rate in (each.unsafe, each.over_refusal))
        tolerated = refused <= policy.max_over_refusal
        return (0.0, unsafe, refused) if tolerated else (1.0, unsafe + refused, refused)

    best = min(known, key=lambda name: mistakes(known[name]))
    return best, known[best].runs[0]


async def _aligned(what: Aligning, store: Store, learnt: Learnt | None) -> str:
    """Return the spec of the aligned model, made now unless it is there."""
    from harmless.align.run import MANIFEST, read_manifest, served

    further = (learnt.run,) if learnt and learnt.examples else ()
    # What learnt from other lessons is another model.
    folder = what.folder.with_name("-".join((what.folder.name, *further)))
    if (folder / MANIFEST).is_file():
        manifest = read_manifest(folder)
        if manifest["base"]["target"] != what.spec:
            raise UsageError(
                f"{folder} holds another model, {manifest['base']['target']} aligned.",
                "Choose another --out.",
            )
        _keep_apart(folder, what.measured)
    else:
        manifest = (await _align(what, store, folder, further)).manifest
    return served(folder, manifest)


async def _align(what: Aligning, store: Store, folder: Path, further: tuple[str, ...]) -> Aligned:
    from anyio.to_thread import run_sync

    from harmless.align.drafts import OWN
    from harmless.align.gated import GATE, Gating, gate
    from harmless.align.gather import Gathering
    from harmless.align.methods import method
    from harmless.align.run import Alignment, align, opened
    from harmless.align.settings import Tuning

    gathering = Gathering((*OWN, *further), evaluations=what.measured)
    if what.method == GATE:
        gating = Gating(what.spec, replace(gathering, limit=PROMPTS), folder)
        return await gate(gating, await run_sync(opened, what.spec, Tuning()), store, _steps(what.tell))
    tuning = method(what.method).tuning(minutes=MINUTES)
    gathering = replace(gathering, limit=EXAMPLES, bad=tuning.pairs, reply_tokens=12)
    alignment = Alignment(what.spec, what.method, gathering, tuning, folder)
    return await align(alignment, await run_sync(opened, what.spec, tuning), store, _steps(what.tell))


def _keep_apart(folder: Path, measured: Sequence[Suite]) -> None:
    """Stop with GateFailedError if the model in a folder was aligned on what it is to be measured with."""
    from harmless.align.examples import read_examples
    from harmless.align.gather import DEVELOPMENT, TRAIN
    from harmless.align.gather import PROMPTS as WITHOUT_REPLIES
    from harmless.align.run import DATA
    from harmless.data.files import read_rows
    from harmless.data.overlap import assert_no_contamination

    files, prompts = [folder / DATA / name for name in (TRAIN, DEVELOPMENT)], folder / DATA / WITHOUT_REPLIES
    learned = {each.text for file in files if file.is_file() for each in read_examples(file)}
    learned |= {str(row["prompt"]) for _, row in read_rows(prompts)} if prompts.is_file() else set()
    try:
        assert_no_contamination(sorted(learned), measured)
    except GateFailedError as error:
        raise GateFailedError(
            error.message, f"The model in {folder} was aligned on them: choose another --out."
        ) from None


def _steps(tell: Callable[[str], None]) -> Told:
    """Return what is told of an alignment: its steps, and not how each of them goes on."""
    return lambda step, known: None if known else tell(step)
