"""Which of two replies is better, asked in both orders; and how far a judge goes by place and length."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from harmless.guards.llm_judge import LlmJudge, behind, replies_of, request
from harmless.guards.opinion import Preference, read_answer
from harmless.guards.steering import neutral, steers
from harmless.stats import Interval, binomial

_NOT_BELIEVED = "the result cannot be believed: the winner speaks to the judge"


class Result(StrEnum):
    """How the first of two replies does against the second."""

    WIN = "win"
    LOSE = "lose"
    TIE = "tie"
    UNASSESSED = "unassessed"


@dataclass(frozen=True)
class Comparison:
    """One comparison in both orders.

    ``places`` is what was preferred when the reply stood first and when it stood second: ``first``, ``second``
    or ``tie``, empty if there was no answer. Latency in seconds and cost in US dollars are of both requests.
    """

    result: Result
    places: tuple[str, str]
    reason: str = ""
    latency_s: float = 0.0
    cost_usd: float | None = None

    @property
    def consistent(self) -> bool:
        """Whether both orders gave the same result."""
        return self.places in (("first", "second"), ("second", "first"), ("tie", "tie"))


@dataclass(frozen=True)
class Pair:
    """Two replies to one prompt."""

    prompt: str
    a: str
    b: str


@dataclass(frozen=True)
class PositionBias:
    """Over pairs asked in both orders: how often the result changed with the order, and towards which place.

    ``inconsistent`` is a rate with its interval; ``first`` and ``second`` count the pairs where that place was
    preferred in both orders; ``unassessed`` the pairs left out. A judge without a bias has few inconsistent
    pairs, and as many first as second.
    """

    inconsistent: Interval
    first: int
    second: int
    unassessed: int


@dataclass(frozen=True)
class VerbosityBias:
    """Over pairs of equal content: how often the longer reply won among those that either won.

    ``longer`` is a rate with its interval, 0.5 without a bias; ``ties`` and ``unassessed`` are left out of it.
    """

    longer: Interval
    ties: int
    unassessed: int


async def compare(judge: LlmJudge, prompt: str, a: str, b: str) -> Comparison:
    """Return how reply ``a`` does against ``b`` by the judge's rubric: win, lose or tie.

    Both orders are asked; a result that changes with the order is a tie. If an answer is missing there is no
    result. Nor is there one if the winner speaks to the judge, and what it says lets even the rubric's control
    win. The first of the judge's targets is asked, once an order.
    """
    return (await compare_all(judge, [Pair(prompt, a, b)]))[0]


async def compare_all(judge: LlmJudge, pairs: Sequence[Pair]) -> list[Comparison]:
    """Return one comparison a pair, in order; see :func:`compare`."""
    found = await _both_orders(judge, pairs)
    doubtful = [i for i, each in enumerate(found) if _doubtful(judge, pairs[i], each)]
    mixed = [_with_control(judge, pairs[i], found[i]) for i in doubtful]
    known = [each for each in mixed if each]
    controls = iter(await _both_orders(judge, known) if known else ())
    for i, each in zip(doubtful, mixed, strict=True):
        found[i] = _controlled(found[i], next(controls) if each else None)
    return found


async def _both_orders(judge: LlmJudge, pairs: Sequence[Pair]) -> list[Comparison]:
    ordered = [(p.prompt, *both) for p in pairs for both in ((p.a, p.b), (p.b, p.a))]
    keys = [judge.asking.key() for _ in ordered]
    requests = [
        request(
            "compare",
            key,
            judge.asking.key(),
            judge.rubric,
            prompt=neutral(prompt),
            first=neutral(first),
            second=neutral(second),
        )
        for (prompt, first, second), key in zip(ordered, keys, strict=True)
    ]
    replies = await replies_of(judge.judges[0], requests, judge.asking.sampling())
    answers: list[Preference | str] = []
    for reply, key in zip(replies, keys, strict=True):
        try:
            answers.append(read_answer(reply, key, Preference))
        except ValueError as error:
            answers.append(str(error))
    found = []
    for i in range(len(pairs)):
        costs = [r.cost_usd for r in replies[2 * i : 2 * i + 2] if r.cost_usd is not None]
        result, places, reason = _result(answers[2 * i], answers[2 * i + 1])
        latency_s = sum(reply.latency_s for reply in replies[2 * i : 2 * i + 2])
        found.append(Comparison(result, places, reason, latency_s, sum(costs) if costs else None))
    return found


async def position_bias(judge: LlmJudge, pairs: Sequence[Pair], confidence: float = 0.95) -> PositionBias:
    """Return how a judge's preferences hang on the place of a reply (Zheng et al. 2023, MT-Bench)."""
    found = await compare_all(judge, pairs)
    asked = [each for each in found if "" not in each.places]
    changed = sum(not each.consistent for each in asked)
    return PositionBias(
        inconsistent=binomial(changed, len(asked), confidence),
        first=sum(each.places == ("first", "first") for each in asked),
        second=sum(each.places == ("second", "second") for each in asked),
        unassessed=len(found) - len(asked),
    )


async def verbosity_bias(judge: LlmJudge, pairs: Sequence[Pair], confidence: float = 0.95) -> VerbosityBias:
    """Return how often the longer of two replies wins; the pairs have to be of equal content.

    Replies of the same length are left out.
    """
    pairs = [pair for pair in pairs if len(pair.a) != len(pair.b)]
    longer, shorter, ties, unassessed = 0, 0, 0, 0
    for pair, found in zip(pairs, await compare_all(judge, pairs), strict=True):
        won = found.result is (Result.WIN if len(pair.a) > len(pair.b) else Result.LOSE)
        decided = found.result in (Result.WIN, Result.LOSE)
        longer, shorter = longer + (decided and won), shorter + (decided and not won)
        ties, unassessed = ties + (found.result is Result.TIE), unassessed + (found.result is Result.UNASSESSED)
    return VerbosityBias(binomial(longer, longer + shorter, confidence), ties, unassessed)


def _result(one: Preference | str, other: Preference | str) -> tuple[Result, tuple[str, str], str]:
    places = tuple("" if isinstance(each, str) else each.better for each in (one, other))
    both = (places[0], places[1])
    if isinstance(one, str) or isinstance(other, str):
        return Result.UNASSESSED, both, next(each for each in (one, other) if isinstance(each, str))
    results = {("first", "second"): Result.WIN, ("second", "first"): Result.LOSE}
    return results.get(both, Result.TIE), both, one.reason


def _doubtful(judge: LlmJudge, pair: Pair, found: Comparison) -> bool:
    if judge.asking.control == "never" or found.result not in (Result.WIN, Result.LOSE):
        return False
    return judge.asking.control == "always" or steers(pair.a if found.result is Result.WIN else pair.b)


def _with_control(judge: LlmJudge, pair: Pair, found: Comparison) -> Pair | None:
    """Return the pair with the winner, now first, behind the control; None if the rubric has none."""
    control = judge.rubric.control
    if control is None or not control.reply:
        return None
    winner, loser = (pair.a, pair.b) if found.result is Result.WIN else (pair.b, pair.a)
    return Pair(pair.prompt, behind(control.reply, winner, control), loser)


def _controlled(found: Comparison, control: Comparison | None) -> Comparison:
    if control is None:
        return replace(
            found, result=Result.UNASSESSED, reason=f"{_NOT_BELIEVED}, and the rubric has no control"
        )
    costs = [each.cost_usd for each in (found, control) if each.cost_usd is not None]
    spent = replace(
        found, latency_s=found.latency_s + control.latency_s, cost_usd=sum(costs) if costs else None
    )
    if control.result in (Result.LOSE, Result.TIE):
        return spent
    return replace(
        spent, result=Result.UNASSESSED, reason=f"{_NOT_BELIEVED}, and with it even the control wins"
    )
