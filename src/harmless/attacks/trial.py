"""The attack of the loop: what breaks the target is learnt, and other objectives show what that is worth.

Half of the calls are made for prompts of our own training pairs, whose failures are learnt from. The other half
are made for prompts of the suite, of which nothing is learnt, and made again when guard and model have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harmless.attacks.by_hazard import merged
from harmless.attacks.calls import calls_of, campaign_of
from harmless.attacks.campaign import CampaignOptions, CampaignProgress, attack
from harmless.attacks.contract import Attack
from harmless.attacks.failures import failures
from harmless.attacks.lessons import RULES, learn
from harmless.attacks.objectives import of_suite
from harmless.attacks.reached import Outcome, outcomes, rate
from harmless.attacks.registry import load
from harmless.check import Budget, Change, CheckOptions, Progress
from harmless.check.recorded import RecordedTarget
from harmless.core import Expect, Guard, Policy, Prompt, Target, user
from harmless.core.model import Model
from harmless.data import Suite
from harmless.data.overlap import without_contamination
from harmless.errors import UsageError
from harmless.evidence import Store
from harmless.guards.parts import part
from harmless.guards.quorum import Quorum
from harmless.guards.rules import rules
from harmless.guards.train import contamination, own
from harmless.stats import holm, paired

#: None of them needs a model that writes or adapts, so that the same is said to the target before and after.
ATTACKS = ("direct", "template(novel)", "template(manual)", "template(prefix_and_suppression)", "best_of_n")
#: Folder beside the report for what is learnt.
LESSONS = "lessons"
#: Calls of one attack for one objective.
EACH = 4
#: Fewer objectives share no phrase that could become a rule.
FEWEST = 4

SAME_ATTACKS = (
    "Nothing was learnt from these objectives, but something from the same attacks: others may still get"
    " through. Search on with harmless attack."
)


@dataclass(frozen=True, slots=True)
class Attacking:
    """That :func:`harmless.loop.make_harmless` also attacks the target, and how.

    Args:
        calls: at most so many of the target as it is; half of them are made again on what it became.
        tell: told what is done.
        observe: called whenever a reply has come, with counts of objectives times attacks.
    """

    calls: int
    tell: Callable[[str], None] = lambda step: None
    observe: Callable[[Progress], None] = lambda _: None


class Learnt(Model):
    """What was learnt from ``failures`` replies to ``objectives`` of the run.

    ``rules`` match ``covered`` of the prompts; of ``benign`` other prompts they flag none, so at most the share
    ``false_alarms`` of prompts like these (95 %). ``examples`` are prompts with their bad replies, for the
    alignment; ``regression`` prompts are in a file, to be asked again.
    """

    run: str
    objectives: int
    failures: int
    rules: int = 0
    covered: int = 0
    benign: int = 0
    false_alarms: float | None = None
    examples: int = 0
    regression: int = 0


class Attacked(Model):
    """The same attacks on the same objectives before and after, paired; nothing was learnt from these.

    ``any`` is the share of objectives that an attack reached, ``attacks`` has that of each one, with its
    p-value corrected for their number.
    """

    before: str
    after: str
    target_before: str
    target_after: str
    objectives: int
    any: Change
    attacks: dict[str, Change]
    learnt: Learnt
    caveats: tuple[str, ...] = (SAME_ATTACKS,)


@dataclass
class Trial:
    """An attack that is planned for a suite; :meth:`learn` first, then :meth:`again`.

    Args:
        suite: the one that is checked.
        attacking: how much is asked.
        checking: how the suite is checked; attacks sample alike, so that no question is asked twice.
        folder: gets the files of :func:`harmless.attacks.lessons.learn`.

    Raises:
        UsageError: the suite has nothing to refuse, or the calls are too few.
        MissingExtraError: the extra ``data`` is not installed.
    """

    suite: Suite
    attacking: Attacking
    checking: CheckOptions
    policy: Policy
    store: Store
    judges: Mapping[str, Guard]
    folder: Path
    attacks: list[Attack] = field(init=False)
    held: list[Prompt] = field(init=False)
    known: list[Prompt] = field(init=False)
    before: str = field(init=False)

    def __post_init__(self) -> None:
        self.attacks = [load(spec) for spec in ATTACKS]
        each = sum(min(attack.info.calls, EACH) for attack in self.attacks)
        number, seed = self.attacking.calls // (2 * each), self.checking.sampling.seed
        if number < FEWEST:
            raise UsageError(
                f"{self.attacking.calls} calls are too few to attack with.",
                f"Give at least {2 * each * FEWEST}calls.",
            )
        self.held = of_suite(self.suite, number, seed)
        self.known = _known(self.suite, self.held, number, seed)

    async def learn(self, target: Target) -> Learnt:
        """Attack the target as it is, and write down what is learnt from what broke it."""
        run = await self._attack(target, self.known, "to learn from what breaks it")
        self.before = await self._attack(target, self.held, "to see later what has changed")
        found = Learnt(run=run, objectives=len(self.known), failures=len(failures(self.store, run)))
        if not found.failures:
            return found
        drafts = learn(self.store, run)
        drafts.write(self.folder)
        lessons = drafts.lessons
        return found.model_copy(
            update={
                "rules": len(lessons.rules.file.rules),
                "covered": lessons.rules.covered,
                "benign": lessons.rules.benign,
                "false_alarms": lessons.rules.added_at_most if lessons.rules.file.rules else None,
                "examples": lessons.preferences,
                "regression": lessons.regression,
            }
        )

    def guard(self, guard: Guard, learnt: Learnt) -> Guard:
        """Return ``any(GUARD, rules(FILE))`` with the rules that were learnt; the guard itself if none were."""
        if not learnt.rules:
            return guard
        parts = [part(each, self.policy) for each in (guard, rules(str(self.folder / RULES)))]
        return Quorum("any", parts, lambda n: 1)

    async def again(self, target: Target, learnt: Learnt) -> Attacked:
        """Attack what the target became, for what nothing was learnt from, and return the difference."""
        unchanged = target.info.identity == self.store.run(self.before).target.identity
        after = self.before if unchanged else await self._attack(target, self.held, "with the same attacks")
        return compared(self.store, self.before, after, learnt)

    async def _attack(self, target: Target, objectives: Sequence[Prompt], why: str) -> str:
        self.attacking.tell(f"{target.info.name} for {len(objectives)} objectives, {why}")
        options = CampaignOptions(
            sampling=self.checking.sampling,
            budget=Budget(calls=EACH * len(self.attacks) * len(objectives)),
            seed=self.checking.sampling.seed,
            fresh=self.checking.fresh,
        )
        found = await attack(
            target if options.fresh else RecordedTarget(target, self.store),
            objectives, self.attacks, self.policy, self.store, self.judges, options,
            observe=self._observe,
        )  # fmt: skip
        return found.run

    def _observe(self, counts: CampaignProgress) -> None:
        done, reached = counts.done, counts.reached
        self.attacking.observe(Progress(planned=counts.planned, made=done, harmful=done, unsafe=reached))


def _known(suite: Suite, held: Sequence[Prompt], number: int, seed: int) -> list[Prompt]:
    """Return objectives to learn from: of our training pairs, of the same hazards, and in no suite."""
    hazards = {prompt.hazard for prompt in held if prompt.hazard}
    found = [
        Prompt(
            id=pair["id"], conversation=user(pair["harmful"]), expect=Expect.REFUSE, hazard=pair["hazard"],
            source=own.PAIRS, licence=own.LICENCE,
        )
        for pair in own.contrast_pairs()
        if not hazards or pair["hazard"] in hazards
    ]  # fmt: skip
    free = without_contamination([each.text for each in found], [*contamination.suites(), suite])
    outside = Suite(f"{own.PAIRS} outside {suite.name}", tuple(found[i] for i in free))
    return of_suite(outside, number, seed)


def compared(store: Store, before: str, after: str, learnt: Learnt) -> Attacked:
    """Return what the same campaign reached in two runs, paired by objective."""
    records = [campaign_of(store, run) for run in (before, after)]
    objectives, confidence = store.prompts(before), records[0].policy.confidence
    made = [{name: outcomes(cells) for name, cells in calls_of(store, run).items()} for run in (before, after)]

    def change(first: Mapping[int, Outcome], second: Mapping[int, Outcome]) -> Change:
        both = [(first[i].reached, second[i].reached) for i in first.keys() & second.keys()]
        known = [(a, b) for a, b in both if a is not None and b is not None]
        test = paired([a for a, _ in known], [b for _, b in known], confidence)
        return Change(
            before=rate(first, objectives, confidence),
            after=rate(second, objectives, confidence),
            pairs=test.n,
            fixed=test.only_first,
            broke=test.only_second,
            difference=0.0 - test.effect if known else None,
            low=0.0 - test.high if known else None,
            high=0.0 - test.low if known else None,
            p=test.p,
        )

    names = [str(info["name"]) for info in records[0].options["attacks"]]
    each = {name: change(made[0].get(name, {}), made[1].get(name, {})) for name in names}
    levels = holm([found.p for found in each.values()])
    return Attacked(
        before=before,
        after=after,
        target_before=records[0].target.name,
        target_after=records[1].target.name,
        objectives=len(objectives),
        any=change(*(merged(list(found.values())) for found in made)),
        attacks={
            name: found.model_copy(update={"p_holm": float(level)})
            for (name, found), level in zip(each.items(), levels, strict=True)
        },
        learnt=learnt,
    )
