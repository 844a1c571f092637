"""Other tools' results become a run of ours: the same attempts, judged by our guards beside their opinion."""

from __future__ import annotations

import hashlib
import secrets
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harmless import __version__
from harmless.attacks.calls import Said, calls_of, target_calls
from harmless.attacks.contract import AttackInfo
from harmless.attacks.reached import origins, share
from harmless.attacks.results import Results, results
from harmless.check.outcomes import ROLES, without_judging
from harmless.check.run import error_rates
from harmless.check.summary import Rate
from harmless.core import (
    Exchange,
    Expect,
    Guard,
    GuardInfo,
    Outcome,
    Policy,
    Prompt,
    Sampling,
    TargetInfo,
    Verdict,
    digest,
    user,
)
from harmless.core.model import Model
from harmless.evidence import Attempt, RunRecord, Step, Store, ask_key, now, run_lock
from harmless.interop.imported import Imported, ImportedAttempt
from harmless.interop.reading import read
from harmless.stats import cohen_kappa

#: The role of the verdicts that the tool itself came to.
THEIRS = "theirs"
_BATCH = 256


class Rescored(Model):
    """The replies of one attack that both judged: the share that each calls a success, and how far they agree.

    ``agree`` is the share of equal opinions, ``kappa`` Cohen's, None where one of them always says the same.
    """

    attack: str
    theirs: Rate
    ours: Rate
    agree: float | None
    kappa: float | None


class Import(Model):
    """A run that was imported: what our guards say of it, and beside that what the tool said."""

    format: str
    tool: str
    skipped: dict[str, int]
    results: Results
    rescored: tuple[Rescored, ...]


async def import_results(
    path: str | Path,
    store: Store,
    judges: Mapping[str, Guard],
    policy: Policy,
    *,
    target: str | None = None,
) -> Import:
    """Import a file of garak, PyRIT, promptfoo or JailbreakBench, and judge its replies.

    It becomes an attack in the evidence, which can be shown, analysed, learnt from and replayed as one of ours.
    The same call on the same store goes on with an import that was cut off, and judges nothing again.

    Args:
        judges: the guards of the roles ``harm`` and ``refusal``; see :func:`harmless.check.load_judges`.
        target: which of several targets in the file was attacked.

    Raises:
        BadFileError: the file is damaged, or of no format that we know; with the line.
        UsageError: several targets, and none is named.
        EvidenceError: the store cannot be written, or another process works on the run.
    """
    kind, found = read(path, target)
    objectives = _objectives(found)
    new = _record(_File(Path(path), kind, found), judges, policy)
    record = store.latest_with_key(new.key) or _started(store, new, list(objectives.values()))
    with run_lock(store.path.parent, record.id):
        if store.state(record.id) != "finished":
            made = _committed(store, record, found, list(objectives))
            await _judge(store, made, judges)
            store.add_event(record.id, "finished")
    return Import(
        format=kind,
        tool=found.tool,
        skipped=dict(found.skipped),
        results=results(store, record.id),
        rescored=rescored(store, record.id),
    )


def rescored(store: Store, run: str) -> tuple[Rescored, ...]:
    """Return for each imported attack how its tool and our judge see the replies that both judged."""
    record = store.run(run)
    objectives, found = store.prompts(record.id), []
    for attack, cells in calls_of(store, record.id).items():
        calls = [(objectives[place], call) for place, cell in cells.items() for call in target_calls(cell)]
        both = [
            (objective, theirs, ours)
            for objective, call in calls
            if (theirs := _theirs(call)) is not None and (ours := call.success) is not None
        ]
        if both:
            found.append(_rescored(attack, both, record.policy.confidence))
    return tuple(found)


def _rescored(attack: str, both: Sequence[tuple[Prompt, bool, bool]], confidence: float) -> Rescored:
    labels = origins([objective for objective, _, _ in both])
    pairs = [(theirs, ours) for _, theirs, ours in both]
    table = [[pairs.count((a, b)) for b in (False, True)] for a in (False, True)]
    spread = all(len({pair[i] for pair in pairs}) > 1 for i in (0, 1))
    return Rescored(
        attack=attack,
        theirs=share([theirs for theirs, _ in pairs], labels, confidence),
        ours=share([ours for _, ours in pairs], labels, confidence),
        agree=sum(a == b for a, b in pairs) / len(pairs),
        kappa=float(cohen_kappa(table)) if spread else None,
    )


def _theirs(call: Said) -> bool | None:
    verdict = call.attempt.verdicts.get(THEIRS)
    return None if verdict is None else verdict.outcome is Outcome.UNSAFE


def _objectives(found: Imported) -> dict[tuple[str, str | None], Prompt]:
    """Return what the attempts were after, each once: (text, hazard) -> objective."""
    kept: dict[tuple[str, str | None], Prompt] = {}
    for each in found.attempts:
        kept.setdefault(
            (each.objective, each.hazard),
            Prompt(
                id=digest(each.objective, each.hazard, length=10),
                conversation=user(each.objective),
                expect=Expect.REFUSE,
                hazard=each.hazard,
                source=found.source,
                licence=found.licence,
            ),
        )
    return kept


def _started(store: Store, record: RunRecord, objectives: Sequence[Prompt]) -> RunRecord:
    store.add_run(record, objectives)
    store.add_event(record.id, "started")
    return record


class _File(NamedTuple):
    path: Path
    format: str
    found: Imported


def _record(file: _File, judges: Mapping[str, Guard], policy: Policy) -> RunRecord:
    """Return the record of a new run; its key is that of all imports of the same content."""
    content = hashlib.sha256(file.path.read_bytes()).hexdigest()
    guards = {role: guard.info for role, guard in judges.items()}
    infos, found = _infos(file.found), file.found
    origin = {"format": file.format, "tool": found.tool, "file": file.path.name, "sha256": content}
    return RunRecord(
        id=secrets.token_hex(4),
        key=digest("import", content, found.target, guards, policy, length=24),
        kind="attack",
        created_at=now(),
        suite=f"{file.format}: {file.path.name}",
        plan_hash=digest(content, [info.model_dump() for info in infos]),
        target=TargetInfo(name=found.target, revision=f"as recorded by {found.tool}"),
        guards=guards,
        policy=policy,
        sampling=Sampling(),
        options={
            "attacks": [info.model_dump() for info in infos],
            "attacker": None,
            "imported": origin,
            "judge_error_rates": error_rates(judges["harm"]),
            "version": __version__,
        },
    )


def _infos(found: Imported) -> list[AttackInfo]:
    calls: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for each in found.attempts:
        calls[each.attack][each.objective] += 1
    return [
        AttackInfo(name=name, family="imported", calls=max(made.values()), source=found.tool)
        for name, made in calls.items()
    ]


def _committed(
    store: Store, record: RunRecord, found: Imported, places: Sequence[tuple[str, str | None]]
) -> list[tuple[Prompt, Attempt]]:
    """Commit what is not there yet, and return the attempts that are still to be judged."""
    objectives = store.prompts(record.id)
    known = {attempt.key: attempt for attempt in store.attempts(record.id)}
    place_of = {key: place for place, key in enumerate(places)}
    numbers: dict[tuple[str, int], int] = defaultdict(int)
    made = []
    for each in found.attempts:
        place = place_of[each.objective, each.hazard]
        number = numbers[each.attack, place]
        numbers[each.attack, place] += 1
        key = digest(record.id, each.attack, place, number, length=24)
        attempt = known.get(key)
        if attempt is None:
            ask = ask_key(record.target, record.sampling, each.conversation)
            attempt = Attempt(key=key, ask=ask, position=place, sample=number, reply=each.reply)
            step = Step(attack=each.attack, role="target", conversation=each.conversation, note=each.note)
            attempt = attempt.model_copy(update={"id": store.add_attempt(record.id, attempt, step)})
        if each.success is not None and THEIRS not in attempt.verdicts:
            store.add_verdicts([_theirs_of(each, attempt, str(record.options["imported"]["tool"]))])
        if any(role not in attempt.verdicts for role in ROLES):
            made.append((objectives[place], attempt))
    return made


def _theirs_of(each: ImportedAttempt, attempt: Attempt, tool: str) -> tuple[int, str, str, Verdict]:
    """Return the row of the tool's own verdict."""
    outcome = Outcome.UNSAFE if each.success else Outcome.SAFE
    verdict = Verdict(outcome=outcome, score=each.score or 0.0, reason=each.by)
    return attempt.id, THEIRS, GuardInfo(name=tool, revision=each.by, sees="reply").identity, verdict


async def _judge(store: Store, made: Sequence[tuple[Prompt, Attempt]], judges: Mapping[str, Guard]) -> None:
    for start in range(0, len(made), _BATCH):
        batch = made[start : start + _BATCH]
        for role in ROLES:
            decided = [without_judging(prompt, attempt.reply).get(role) for prompt, attempt in batch]
            left = [i for i, verdict in enumerate(decided) if verdict is None]
            exchanges = [
                Exchange(conversation=batch[i][0].conversation, reply=batch[i][1].reply.text) for i in left
            ]
            judged = await judges[role].judge(exchanges) if left else []
            for i, verdict in zip(left, judged, strict=True):
                decided[i] = verdict
            store.add_verdicts(
                (attempt.id, role, judges[role].info.identity, verdict)
                for (_, attempt), verdict in zip(batch, decided, strict=True)
                if verdict is not None
            )
