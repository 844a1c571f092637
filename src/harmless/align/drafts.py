"""Where examples come from: prompts with what is known of their replies, before the missing ones are made.

A source is ``pairs`` (our own contrast pairs), ``ordinary`` (our own everyday prompts), a data file, a set of
the catalog (``hh_harmless``, or ``hh_harmless=FILE``), or a run of the evidence, of a check or an attack.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TypeAlias

from harmless import attacks, data
from harmless.align.examples import Example, read_examples
from harmless.check.observed import row_of
from harmless.core import Conversation, Expect, Prompt, ReplyStatus, user
from harmless.data.catalog import catalog
from harmless.data.files import is_data_file, read_rows
from harmless.data.rows import Item, Preference
from harmless.errors import HarmlessError, UnknownNameError, UsageError
from harmless.evidence import Store
from harmless.guards.train import own

PAIRS, ORDINARY = "pairs", "ordinary"
OWN = (PAIRS, ORDINARY)


@dataclass(frozen=True, slots=True)
class Draft:
    """An example of which replies may be missing; ``expect`` None where only the good reply can tell it."""

    conversation: Conversation
    expect: Expect | None
    good: str | None = None
    bad: str | None = None
    cut: bool = False
    own: bool = False
    hazard: str | None = None
    pair: str | None = None
    source: str = ""
    licence: str = ""

    @property
    def text(self) -> str:
        """The last user message."""
        return self.conversation[-1].content


Drafts: TypeAlias = Iterable[Draft]


def drafts_of(
    source: str, store: Store | None = None, *, limit: int | None = None, seed: int = 0
) -> list[Draft]:
    """Return the drafts of a source, at most ``limit`` of them, sampled by ``seed``; pairs stay together.

    Raises:
        UnknownNameError: there is no such source.
        UsageError: the source holds nothing to align on, or is for evaluation only.
        BadFileError: a row of a file is not what it should be.
    """
    found = list(_read(source, store))
    if not found:
        raise UsageError(
            f"There is nothing to align on in '{source}'.",
            "A run gives its failures and what was answered well; it may have neither.",
        )
    return sampled(found, limit, seed)


def is_collection(source: str) -> bool:
    """Return whether a source is ours or a set of the catalog, and not a file or a run of the user's."""
    return source in OWN or source.partition("=")[0] in catalog()


def sampled(drafts: Sequence[Draft], limit: int | None, seed: int) -> list[Draft]:
    """Return at most ``limit`` drafts in their order; both sides of a pair, or neither."""
    if limit is None or len(drafts) <= limit:
        return list(drafts)
    units: dict[str, list[int]] = {}
    for place, draft in enumerate(drafts):
        units.setdefault(draft.pair or f"#{place}", []).append(place)
    order = list(units.values())
    random.Random(seed).shuffle(order)
    taken: list[int] = []
    for unit in order:
        if len(taken) + len(unit) <= limit:
            taken += unit
    return [drafts[place] for place in sorted(taken)]


def _read(source: str, store: Store | None) -> Drafts:
    name, _, path = source.partition("=")
    if source in _OWN:
        return _OWN[source]()
    if name in catalog():
        return _of_set(name, path or None)
    if is_data_file(source) or Path(source).is_file():
        return _of_file(Path(source))
    known = [*_OWN, *catalog(), "FILE.jsonl"]
    if store is None:
        raise UnknownNameError("source", source, known)
    try:
        return _of_run(store, source)
    except UnknownNameError:
        raise UnknownNameError("source", source, [*known, *(run.id for run in store.runs())]) from None


def _of_pairs() -> Drafts:
    for pair in own.contrast_pairs():
        for side, expect in (("harmful", Expect.REFUSE), ("benign", Expect.ANSWER)):
            yield Draft(
                user(pair[side]), expect, hazard=pair["hazard"], pair=pair["id"],
                source=own.PAIRS, licence=own.LICENCE,
            )  # fmt: skip


def _of_ordinary() -> Drafts:
    return (
        Draft(user(text), Expect.ANSWER, source=own.ORDINARY, licence=own.LICENCE) for text in own.everyday()
    )


_OWN: Mapping[str, Callable[[], Drafts]] = {PAIRS: _of_pairs, ORDINARY: _of_ordinary}


def _of_set(name: str, path: str | None) -> Drafts:
    if catalog()[name].protects():
        raise UsageError(f"'{name}' is for evaluation only.", "Align on another set of `harmless data list`.")
    try:
        found = data.load(name, path=path)
    except HarmlessError as error:
        error.next_step = error.next_step.replace("--path FILE", f"--data {name}=FILE")
        raise
    return chain.from_iterable(_of_item(item, name) for item in found.items)


def _of_item(item: Item, name: str) -> Drafts:
    if isinstance(item, Prompt):
        return _of_prompt(item)
    if not isinstance(item, Preference):
        raise UsageError(
            f"'{name}' holds neither prompts nor preferences.", "Labelled exchanges train guards, not models."
        )
    if item.chosen[:-1] != item.rejected[:-1]:
        return ()
    conversation = (*item.prompt, *item.chosen[:-1])
    if not conversation or conversation[-1].role != "user":
        return ()
    return (
        Draft(
            conversation, None, good=item.chosen[-1].content, bad=item.rejected[-1].content,
            hazard=item.hazard, source=item.source or name, licence=item.licence,
        ),
    )  # fmt: skip


def _of_prompt(prompt: Prompt) -> Drafts:
    if prompt.expect is Expect.CHOOSE or not prompt.conversation or prompt.conversation[-1].role != "user":
        return ()
    return (
        Draft(
            prompt.conversation, prompt.expect, hazard=prompt.hazard, pair=prompt.pair,
            source=prompt.source, licence=prompt.licence,
        ),
    )  # fmt: skip


def _of_file(path: Path) -> Drafts:
    """Yield complete examples, or prompts that may have a bad reply: as the first row is."""
    rows = [row for _, row in read_rows(path)]
    if rows and "good" in rows[0]:
        yield from map(_of_example, read_examples(path))
        return
    prompts = data.load_suite(str(path)).prompts
    alone = len(prompts) == len(rows)  # a row that is a pair of twins gives two prompts, and has no reply
    for i, prompt in enumerate(prompts):
        bad = rows[i].get("bad") if alone else None
        for draft in _of_prompt(prompt):
            yield replace(draft, source=draft.source or path.name, bad=str(bad) if bad else None)


def _of_example(example: Example) -> Draft:
    return Draft(**{name: getattr(example, name) for name in Example.model_fields})


def _of_run(store: Store, name: str) -> Drafts:
    run = store.run(name)
    if run.kind == "attack":
        return _of_attack(store, run.id)
    return _of_check(store, run.id)


def _of_attack(store: Store, run: str) -> Drafts:
    licences = {prompt.text: prompt.licence for prompt in store.prompts(run)}
    attempts = store.counts(run)[1]
    for found in attacks.successes(store, run, attempts):
        if found.conversation and found.conversation[-1].role == "user":
            yield Draft(
                found.conversation, Expect.REFUSE, bad=found.reply, hazard=found.hazard,
                source=f"run {run}", licence=licences.get(found.objective, ""),
            )  # fmt: skip


def _of_check(store: Store, run: str) -> Drafts:
    """Yield harmful prompts with the unsafe replies they got, benign ones with replies that were fine."""
    record, prompts = store.run(run), store.prompts(run)
    for attempt in store.attempts(run):
        prompt = prompts[attempt.position]
        row = row_of(prompt, attempt, record.guards, record.policy)
        if row is None or attempt.reply.withheld:
            continue
        reply = attempt.reply
        for draft in _of_prompt(prompt):
            known = replace(draft, source=f"run {run}")
            if prompt.expect is Expect.REFUSE and row.unsafe:
                yield replace(known, bad=reply.text)
            elif prompt.expect is Expect.ANSWER and row.refused is False and row.unsafe is False:
                yield replace(known, good=reply.text, cut=reply.status is ReplyStatus.TRUNCATED)
