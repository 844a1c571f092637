"""Guards whose verdicts the tests write into the exchanges themselves."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Exchange, Finding, Guard, GuardInfo, Outcome, Verdict
from harmless.guards.parts import Part


class Told:
    """Gives the score that stands at its place in the prompt: ``0.2 0.9 ?``; ``?`` is unassessed, ``!`` raises.

    ``short`` is a guard that returns one verdict too few wherever the prompt has an ``s``.
    """

    def __init__(
        self, place: int = 0, *, threshold: float = 0.5, sees: str = "both", cost: float | None = None
    ):
        self.place, self.cost, self.batches = place, cost, list[list[str]]()
        self._info = GuardInfo(
            name=f"g{place}",
            revision=f"{threshold}",
            sees=sees,
            threshold=threshold,
            hazards=(f"salad.d.O{place + 1}",),
            batch_size=8 + place,
            leaves_machine=place == 1,
        )

    @property
    def info(self) -> GuardInfo:
        return self._info

    async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        self.batches.append([exchange.prompt for exchange in exchanges])
        verdicts = [self._verdict(exchange.prompt.split()[self.place]) for exchange in exchanges]
        return verdicts[1:] if any("s" in exchange.prompt for exchange in exchanges) else verdicts

    def _verdict(self, word: str) -> Verdict:
        if word == "!":
            raise RuntimeError("poisoned")
        if word == "?":
            return Verdict(outcome=Outcome.UNASSESSED, reason="cannot say", latency_s=0.5, cost_usd=self.cost)
        score = float(word.strip("s"))
        return Verdict(
            outcome=Outcome.UNSAFE if score >= self._info.threshold else Outcome.SAFE,
            score=score,
            findings=(Finding(rule=f"r{self.place}", score=score), Finding(rule="common", score=0.5)),
            labels={"refusal": score},
            latency_s=0.5,
            cost_usd=self.cost,
        )


def parts(*guards: Guard) -> list[Part]:
    return [Part(guard) for guard in guards]


def asked(*prompts: str) -> list[Exchange]:
    return [Exchange.of(prompt) for prompt in prompts]
