"""PAIR: a model rewrites the request by what the judge said of the last reply (Chao et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass, field

from harmless.attacks.contract import AttackInfo, Session, Tried
from harmless.attacks.writing import SHOWN, as_prompt, shots, talk, whole_numbers, wording, written_prompt
from harmless.core import user

#: Rounds of the conversation with the attacker's model that it is shown.
KEEP_LAST = 4


@dataclass
class _Stream:
    """One line of attempts under one strategy; ``said`` are the turns with the attacker's model so far."""

    strategy: str
    said: list[str] = field(default_factory=list)


class Pair:
    """Streams of prompts, each improved round by round; the strategies take turns over the streams.

    A round in which the attacker's model fails or refuses is lost; it begins anew with the next strategy. Each
    strategy is shown by harmless examples, which the paper does by harmful ones: a small model needs them.

    Args:
        streams: lines of attempts.
        depth: rounds of each.
    """

    def __init__(self, streams: int = 3, depth: int = 5) -> None:
        self._streams, self._depth = streams, depth
        name = "pair" if (streams, depth) == (3, 5) else f"pair({streams}, {depth})"
        self.info = AttackInfo(
            name=name,
            family="rewriting",
            calls=streams * depth,
            adaptive=True,
            attacker=True,
            source="Chao et al. 2023",
        )

    async def run(self, session: Session) -> None:
        """Ask one prompt of every stream a round."""
        strategies = list(wording("pair")["strategies"])
        streams = [_Stream(strategies[i % len(strategies)]) for i in range(self._streams)]
        for _ in range(self._depth):
            for stream in streams:
                prompt = await self._write(session, stream)
                if prompt is None:
                    place = strategies.index(stream.strategy) + 1
                    stream.strategy, stream.said = strategies[place % len(strategies)], []
                    continue
                tried = (await session.ask([user(prompt)], note=stream.strategy))[0]
                stream.said += [as_prompt(prompt), _told(session, tried)]

    async def _write(self, session: Session, stream: _Stream) -> str | None:
        words = wording("pair")
        if not stream.said:
            stream.said.append(words["first"].format(objective=session.objective.text))
        system = words["system"].format(strategy=words["strategies"][stream.strategy])
        shown = [stream.said[0], *stream.said[1:][-2 * KEEP_LAST :]]
        told = talk(system, *shots(words["first"], words["shots"][stream.strategy]), *shown)
        return written_prompt(await session.write(told, note=stream.strategy))


def _told(session: Session, tried: Tried) -> str:
    """Return what the attacker's model is told of the last attempt."""
    return str(
        wording("pair")["next"].format(
            objective=session.objective.text,
            reply=tried.reply.text[:SHOWN] or tried.reply.cause,
            score=1 + round(9 * tried.score),
        )
    )


def pair(streams: str = "3", depth: str = "5") -> Pair:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return Pair(*whole_numbers("pair", streams=streams, depth=depth))
