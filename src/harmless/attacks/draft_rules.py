"""Guard rules drafted from failures: phrases that failing prompts share and benign ones do not have.

A phrase is five to eight words in a row, two of which are not everyday words. Half of our own benign training
rows say which words and phrases are ordinary; the other half, which had no say in the choice, tells how many
false alarms the rules would add.
"""

from __future__ import annotations

import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

import yaml

from harmless.attacks.barred import Barred
from harmless.attacks.failures import Failure
from harmless.core.model import Model
from harmless.guards import normalise
from harmless.guards.rulefile import Examples, Rule, RuleFile
from harmless.guards.rules import rules as read_rules
from harmless.stats import upper_bound

Phrase: TypeAlias = tuple[str, ...]

#: Objectives that share a phrase before it becomes a rule, rules that are drafted, characters that are read.
FEWEST, MOST, _LONGEST = 2, 40, 4000
#: Words of a phrase.
_LENGTHS = range(5, 9)
#: Of so many benign rows one has an everyday word; a phrase needs so many other words.
_EVERYDAY, _TELLING = 200, 2
#: What a phrase may run across; see :mod:`harmless.guards.patterns`.
_RUN = re.compile(r"\w+(?:[\s,;:'\"()*/_-]+\w+)*")
_WORD = re.compile(r"[^\W_]+")
_GAP = "\n.\n"


class DraftedRules(Model):
    """Rules that were kept, and what is known of them.

    ``covered`` of ``prompts`` failing prompts match one of them. ``dropped`` counts the rules that were left
    out as they matched a benign row of the validation half; of its ``benign`` rows our default rules flag
    ``flagged_before``, and the kept rules add ``added``, which is 0 by that choice: ``added_at_most`` is the
    upper limit (95 %) of the rate of false alarms that this leaves open.
    """

    file: RuleFile
    prompts: int
    covered: int
    dropped: int
    benign: int
    flagged_before: int
    added: int
    added_at_most: float


class Ordinary:
    """What benign texts say: a phrase is ordinary if one of them has it, or if it is of everyday words."""

    def __init__(self, texts: Sequence[str]) -> None:
        folded = [normalise.plain(text).text for text in texts]
        self._phrases = {phrase for text in folded for phrase in _phrases(text)}
        rows = Counter(word for text in folded for word in set(_WORD.findall(text)))
        self._everyday = {word for word, count in rows.items() if count * _EVERYDAY >= len(texts)}

    def __contains__(self, phrase: Phrase) -> bool:
        telling = {word for word in phrase if word not in self._everyday and len(word) > 2}
        return len(telling) < _TELLING or phrase in self._phrases


def draft_rules(failures: Sequence[Failure], barred: Barred, run: str) -> DraftedRules:
    """Return rules for what the failures of a run have in common.

    Of barred failures only the frame is read in which the objective was asked, not the objective.

    Args:
        failures: of one run.
        barred: those whose objective may not be learnt from.
        run: names the rules.
    """
    benign = _benign()
    found = _rules(_frames(failures, barred), benign.ordinary, run)
    drafted = _matches(found, benign.validation)
    alarms = set().union(*drafted)
    kept = [rule for rule in found if rule.id not in alarms]
    named = {rule.id for rule in kept}
    added = sum(bool(hits & named) and not known for hits, known in zip(drafted, benign.flagged, strict=True))
    return DraftedRules(
        file=_file(kept, run),
        prompts=len(failures),
        covered=sum(map(bool, _matches(kept, [each.text for each in failures]))),
        dropped=len(found) - len(kept),
        benign=len(benign.validation),
        flagged_before=sum(benign.flagged),
        added=added,
        added_at_most=upper_bound(added, len(benign.validation)),
    )


def as_yaml(file: RuleFile) -> str:
    """Return rules as the text of a rule file."""
    plain = file.model_dump(mode="json", exclude_defaults=True)
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=110)


def _file(rules: Sequence[Rule], run: str) -> RuleFile:
    return RuleFile(description=f"Drafted from the failures of run {run}. Read before use.", rules=tuple(rules))


def _matches(rules: Sequence[Rule], texts: Sequence[str]) -> list[set[str]]:
    """Return for each text the ids of the rules that match it, by the guard that runs them."""
    if not rules:
        return [set() for _ in texts]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yaml"
        path.write_text(as_yaml(_file(rules, "")), encoding="utf-8")
        guard = read_rules(str(path))
    return [{finding.rule for finding in guard.find(text)} for text in texts]


def _rules(texts: Mapping[str, Sequence[Failure]], ordinary: Ordinary, run: str) -> list[Rule]:
    """Return a rule a phrase: again and again the one that most texts have which no rule matches yet."""
    places: dict[Phrase, set[str]] = defaultdict(set)
    for text in texts:
        for phrase in _phrases(text):
            places[phrase].add(text)
    # Of phrases that occur in the same texts the longest one is the least likely elsewhere.
    longest: dict[frozenset[str], Phrase] = {}
    for phrase, where in sorted(places.items(), key=lambda item: (len(item[0]), item[0])):
        if phrase not in ordinary and len(_objectives(where, texts)) >= FEWEST:
            longest[frozenset(where)] = phrase
    left, found = set(texts), list[Rule]()
    while longest and len(found) < MOST:
        most = max(longest, key=lambda each: (len(_objectives(each & left, texts)), longest[each]))
        if len(_objectives(most & left, texts)) < FEWEST:
            break
        left -= most
        members = [failure for text in sorted(most) for failure in texts[text]]
        found.append(_rule(longest.pop(most), members, f"learnt.{run}.{len(found) + 1}"))
    return found


def _rule(phrase: Phrase, failures: Sequence[Failure], name: str) -> Rule:
    """Return the rule for a phrase; its hazard is that of all failures that have it, if they share one."""
    hazards = {each.objective.hazard for each in failures}
    words = " ".join(phrase)
    return Rule(
        id=name,
        hazard=hazards.pop() if len(hazards) == 1 else None,
        words=(words,),
        examples=Examples(match=(words,)),
    )


def _objectives(where: Iterable[str], texts: Mapping[str, Sequence[Failure]]) -> set[str]:
    return {failure.objective.id for text in where for failure in texts[text]}


def _frames(failures: Sequence[Failure], barred: Barred) -> dict[str, list[Failure]]:
    """Return what is read of failures -> the failures it is read of."""
    found: dict[str, list[Failure]] = defaultdict(list)
    for each in failures:
        text, objective = normalise.plain(each.text).text, normalise.plain(each.objective.text).text
        if each in barred:
            text = text.replace(objective, _GAP) if objective in text else ""
        if text.strip():
            found[text[:_LONGEST]].append(each)
    return found


def _phrases(text: str) -> set[Phrase]:
    found: set[Phrase] = set()
    for run in _RUN.findall(text):
        words = _WORD.findall(run)
        for length in _LENGTHS:
            found.update(zip(*(words[i:] for i in range(length)), strict=False))
    return found


class _Benign(NamedTuple):
    """What one half of our benign rows says, the other half, and which of that our default rules flag."""

    ordinary: Ordinary
    validation: list[str]
    flagged: list[bool]


@cache
def _benign() -> _Benign:
    import numpy as np

    from harmless.guards.train import own

    rows = sorted({row.prompt for row in own.prompts(np.random.default_rng(0)) if not row.unsafe})
    random.Random(0).shuffle(rows)
    guard, validation = read_rules(), rows[1::2]
    return _Benign(Ordinary(rows[::2]), validation, [bool(guard.find(text)) for text in validation])
