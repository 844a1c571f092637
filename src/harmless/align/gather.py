"""From sources to examples: keep evaluation prompts out, make the replies that are missing, split."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from harmless import guards
from harmless.align import templates
from harmless.align.card import Card, card_of, write_card
from harmless.align.constitutional import SILENT, UNJUDGED, Maker
from harmless.align.drafts import ORDINARY, OWN, PAIRS, Draft, drafts_of, is_collection
from harmless.align.examples import Example, write_examples
from harmless.align.replies import own_replies
from harmless.align.split import split
from harmless.core import Exchange, Expect, Reply, ReplyStatus, Sampling, Target
from harmless.data.catalog import is_non_commercial
from harmless.data.lessons import Lesson
from harmless.data.overlap import assert_no_contamination, normal, without_contamination
from harmless.data.suites import Suite
from harmless.errors import GateFailedError, UsageError
from harmless.evidence import Store
from harmless.guards.refusal import refused
from harmless.guards.train import contamination, own
from harmless.screen import screen

TRAIN, DEVELOPMENT = "train.jsonl", "development.jsonl"
#: Prompts of which no replies were gathered.
PROMPTS = "prompts.jsonl"

#: Replies that were asked already.
KEPT = "replies.jsonl"


@dataclass(frozen=True, slots=True)
class Gathering:
    """What to gather.

    Args:
        sources: see :mod:`harmless.align.drafts`.
        limit: at most so many examples of each source; pairs stay together.
        bad: also make the ``bad`` reply where there is none: what the target says to a harmful prompt, and a
            refusal of a benign one. Methods that learn from preferences need it.
        reply_tokens: how long the target's own replies may be.
        development: the share of groups of near-duplicates that is held back.
        evaluations: suites, or files of prompts, that models are measured on, beside the built-in ones.
        allow_non_commercial: take rows whose licence forbids commercial use.
        openings: how many ways to begin a refusal are drawn from. With many, the first word of a refusal is
            as open as that of an answer, and greedy decoding of a small model finds none of them
            (design/align.md).
        screened: leave out what :func:`harmless.screen.screen` would put aside of sources that are not ours.
        seed: of samples, templates and split.
    """

    sources: tuple[str, ...] = OWN
    limit: int | None = None
    bad: bool = False
    reply_tokens: int = 48
    development: float = 0.15
    evaluations: tuple[Path | Suite, ...] = ()
    allow_non_commercial: bool = False
    openings: int = 1
    screened: bool = True
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Gathered:
    """Examples to train on and to develop on, which share no near-duplicate and no pair, and their card."""

    train: tuple[Example, ...]
    development: tuple[Example, ...]
    card: Card

    def write(self, folder: Path) -> list[Path]:
        """Write ``train.jsonl``, ``development.jsonl``, ``card.json`` and ``card.md``, and return the paths."""
        parts = {TRAIN: self.train, DEVELOPMENT: self.development}
        files = [write_examples(folder / name, examples) for name, examples in parts.items()]
        return files + write_card(folder, self.card)


async def gather(
    target: Target,
    what: Gathering,
    folder: Path,
    *,
    store: Store | None = None,
    maker: Maker | None = None,
    observe: Callable[[int, int], None] = lambda done, total: None,
) -> Gathered:
    """Return examples from sources; the target's own replies are kept in ``folder``, and not asked again.

    Good replies are those of the source; else a refusal from a template to what is to be refused, and what the
    target says already to what is to be answered.

    Args:
        target: the model that is to be aligned; it answers greedily.
        store: the evidence, for sources that are runs.
        maker: makes the replies to what is to be refused, instead of templates: see
            :mod:`harmless.align.constitutional`.
        observe: told how many replies of the target there are, and how many there are to be.

    Raises:
        GateFailedError: a prompt of a file or a run is, or nearly is, one of an evaluation suite; those of our
            own sources and of sets of the catalog are left out.
        UsageError: a source is not to be aligned on, or nothing is left of the sources, of their harmful
            prompts or of their benign ones.
        UnreachableError: a hub is out of reach; BadFileError: a file is not what it should be.
    """
    drafts, left_out = collected(what, store)
    wanted = known = await told(drafts, left_out)
    if maker is not None:
        known = await _made(known, maker, target, folder / KEPT, left_out)
    replies = await _asked(target, known, what, folder, observe)
    examples = await _screened(await _filled(known, replies, what, left_out), what, left_out)
    if not examples:
        raise UsageError("Nothing is left to align on.", f"Left out: {counts_of(left_out)}.")
    _assert_none_lost(wanted, examples, left_out)
    train, development = split(examples, what.development, what.seed)
    card = card_of(train, development, target=target.info, sources=what.sources, left_out=left_out)
    return Gathered(tuple(train), tuple(development), card)


def assert_both_kinds(
    wanted: Sequence[Draft | Example], left: Sequence[Draft | Example], left_out: Mapping[str, int]
) -> None:
    """Stop if there are no harmful prompts, or no benign ones: the other kind alone teaches one answer to all.

    Raises:
        UsageError: says which were never given, or why they were left out.
    """
    for expect, kind, ours in (
        (Expect.REFUSE, "harmful", PAIRS),
        (Expect.ANSWER, "benign", f"{PAIRS} {ORDINARY}"),
    ):
        if not any(each.expect is expect for each in wanted):
            raise UsageError(
                f"There are no {kind} prompts to train on, and the others alone teach one answer to all.",
                f"Add some, or our own: --data ... {ours}.",
            )
    _assert_none_lost(wanted, left, left_out)


def _assert_none_lost(
    wanted: Sequence[Draft | Example], left: Sequence[Draft | Example], left_out: Mapping[str, int]
) -> None:
    for expect, kind in ((Expect.REFUSE, "harmful"), (Expect.ANSWER, "benign")):
        count = sum(each.expect is expect for each in wanted)
        if count and not any(each.expect is expect for each in left):
            raise UsageError(
                f"None of {count} {kind} prompts can be trained on.", f"Left out: {counts_of(left_out)}."
            )


def collected(what: Gathering, store: Store | None = None) -> tuple[list[Draft], Counter[str]]:
    """Return the drafts of all sources, each prompt once and none of an evaluation suite; and what is left out.

    Raises what :func:`gather` raises of sources.
    """
    left_out: Counter[str] = Counter()
    evaluations = contamination.suites(what.evaluations)
    drafts = []
    for source in what.sources:
        found = drafts_of(source, store, limit=what.limit, seed=what.seed)
        drafts += _apart(found, evaluations, left_out) if is_collection(source) else found
    drafts = _once(drafts, left_out)
    _may_be_used(drafts, allowed=what.allow_non_commercial)
    certify([draft.text for draft in drafts], evaluations)
    return drafts, left_out


def write_prompts(folder: Path, train: Sequence[Draft], development: Sequence[Draft]) -> Path:
    """Write the last user message of each draft with what is expected of it, and return the file."""
    path = folder / PROMPTS
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"prompt": each.text, "expect": each.expect, "pair": each.pair, "source": each.source, "part": part}
        for part, drafts in (("train", train), ("development", development))
        for each in drafts
    ]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def certify(prompts: Sequence[str], evaluations: Sequence[Suite]) -> None:
    """Stop if a prompt is, or nearly is, one of an evaluation suite.

    Raises:
        GateFailedError: names the suites and how many of their rows.
    """
    try:
        assert_no_contamination(sorted(set(prompts)), evaluations)
    except GateFailedError as error:
        raise GateFailedError(
            error.message,
            "A model aligned on them could not be measured with them: gather from other prompts, such as a run"
            " on a file of your own (harmless check TARGET --suite FILE).",
        ) from None


def _apart(drafts: Sequence[Draft], evaluations: Sequence[Suite], left_out: Counter[str]) -> list[Draft]:
    """Return the drafts whose prompt no suite has: a large collection has a few, and nobody could mend it."""
    free = without_contamination([draft.text for draft in drafts], evaluations)
    left_out[contamination.REASON] += len(drafts) - len(free)
    return [drafts[i] for i in free]


def _once(drafts: Sequence[Draft], left_out: Counter[str]) -> list[Draft]:
    found: dict[tuple[str, ...], Draft] = {}
    for draft in drafts:
        found.setdefault(tuple(normal(turn.content) for turn in draft.conversation), draft)
    left_out["the same prompt again"] += len(drafts) - len(found)
    return list(found.values())


def _may_be_used(drafts: Sequence[Draft], *, allowed: bool) -> None:
    named = sorted({f"{d.source} ({d.licence})" for d in drafts if is_non_commercial(d.licence)})
    if named and not allowed:
        raise UsageError(
            f"A model aligned on {', '.join(named)} could not be used commercially.",
            "Leave it out, or say --allow-non-commercial.",
        )


async def told(drafts: Sequence[Draft], left_out: Counter[str]) -> list[Draft]:
    """Return the drafts with what is expected; where only the good reply tells it, the guard reads it."""
    open_ = [i for i, draft in enumerate(drafts) if draft.expect is None]
    declines = await _refused([(drafts[i], drafts[i].good or "") for i in open_])
    read = dict(zip(open_, declines, strict=True))
    found = []
    for i, draft in enumerate(drafts):
        if i not in read:
            found.append(draft)
        elif read[i] is None:
            left_out[UNJUDGED] += 1
        else:
            found.append(replace(draft, expect=Expect.REFUSE if read[i] else Expect.ANSWER))
    return found


async def _made(
    drafts: Sequence[Draft], maker: Maker, target: Target, kept: Path, left_out: Counter[str]
) -> list[Draft]:
    """Return the drafts with the replies that the maker makes; those that it can't make are left out."""
    open_ = [i for i, draft in enumerate(drafts) if draft.expect is Expect.REFUSE and draft.good is None]
    made = dict(zip(open_, await maker.make([drafts[i] for i in open_], target, kept), strict=True))
    left_out.update(each for each in made.values() if isinstance(each, str))
    found = [made.get(i, draft) for i, draft in enumerate(drafts)]
    return [each for each in found if not isinstance(each, str)]


async def _asked(
    target: Target, drafts: Sequence[Draft], what: Gathering, folder: Path, observe: Callable[[int, int], None]
) -> dict[int, Reply]:
    """Return the target's reply to each draft that needs one, by place."""
    places = [i for i, draft in enumerate(drafts) if _needs_reply(draft, bad=what.bad)]
    sampling = Sampling(max_tokens=what.reply_tokens)
    conversations = [drafts[i].conversation for i in places]
    replies = await own_replies(target, conversations, sampling, folder / KEPT, observe)
    return dict(zip(places, replies, strict=True))


def _needs_reply(draft: Draft, *, bad: bool) -> bool:
    if draft.expect is Expect.ANSWER:
        return draft.good is None
    return bad and draft.bad is None


async def _filled(
    drafts: Sequence[Draft], replies: dict[int, Reply], what: Gathering, left_out: Counter[str]
) -> list[Example]:
    spoken = [i for i, reply in replies.items() if reply.has_text and reply.text.strip()]
    declines = await _refused([(drafts[i], replies[i].text) for i in spoken])
    declined = dict(zip(spoken, declines, strict=True))
    found = []
    for i, draft in enumerate(drafts):
        if i in replies and draft.expect is Expect.ANSWER and declined.get(i) is not False:
            left_out[_cause(declined[i]) if i in declined else SILENT] += 1
            continue
        said = replies[i] if declined.get(i) is False else None
        found.append(_example(draft, said, what))
    return found


def _cause(declined: bool | None) -> str:
    return UNJUDGED if declined is None else "the target refuses it already"


async def _screened(examples: list[Example], what: Gathering, left_out: Counter[str]) -> list[Example]:
    """Return the examples without what a screening for poison puts aside; our own are not screened."""
    places = [i for i, each in enumerate(examples) if each.source not in (own.ORDINARY, own.PAIRS)]
    if not (what.screened and places):
        return examples
    found = await screen([Lesson(examples[i].conversation, examples[i].good, examples[i].bad) for i in places])
    for place in found.quarantined:
        left_out[f"screening: {found.reasons[place][0].kind.value}"] += 1
    aside = {places[place] for place in found.quarantined}
    return [each for i, each in enumerate(examples) if i not in aside]


def _example(draft: Draft, said: Reply | None, what: Gathering) -> Example:
    """Return the example of a draft; ``said`` is what the target replied, if it did not refuse."""
    refusal = templates.load().refusal(draft.hazard, draft.text, what.seed, what.openings)
    refuse = draft.expect is Expect.REFUSE
    known = replace(draft, good=draft.good or refusal) if refuse else _answered(draft, said)
    if what.bad and draft.bad is None:
        known = replace(known, bad=(said.text.strip() if said else None) if refuse else refusal)
    return Example(**{name: getattr(known, name) for name in Example.model_fields})


def _answered(draft: Draft, said: Reply | None) -> Draft:
    if draft.good is not None or said is None:
        return draft
    return replace(draft, good=said.text.strip(), cut=said.status is ReplyStatus.TRUNCATED, own=True)


async def _refused(asked: Sequence[tuple[Draft, str]]) -> list[bool | None]:
    guard = guards.load("refusal")
    exchanges = [Exchange(conversation=draft.conversation, reply=reply) for draft, reply in asked]
    return [refused(verdict) for verdict in await guard.judge(exchanges)]


def counts_of(counter: Mapping[str, int]) -> str:
    """Return counts as text."""
    return ", ".join(f"{count} {name}" for name, count in counter.items() if count) or "nothing"
