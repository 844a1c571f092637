"""GCG: a suffix found by the gradient of an open model (Zou et al. 2023), also with momentum (MAC).

What makes an affirmative beginning likely on one model often does so on others: the suffix is searched for on
a model that is open to view, which may be the target's own or another, and said to the target. The original has
500 steps of 512 candidates; fewer are the default here, as the model may run on a CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.suffix.frame import Frame, framed
from harmless.attacks.suffix.opened import needs_torch, opened
from harmless.attacks.suffix.search import Search, SearchOptions
from harmless.attacks.writing import whole_numbers, wording
from harmless.core import Message
from harmless.errors import UsageError

T = TypeVar("T")

#: Steps after which the target is asked, if there is a better suffix than before.
EVERY = 10
_MODEL, _STEPS = "embedded", 100


class Gcg:
    """Changes one token of a suffix at a time, so that an affirmative beginning of the reply becomes likely.

    Args:
        model: where it is searched, a spec of :func:`harmless.targets.local.open_model`.
        steps: of the search.
        options: of the search.
        name: of the attack.
    """

    def __init__(self, model: str, steps: int, options: SearchOptions, name: str = "gcg") -> None:
        self._model, self._steps, self._options = model, steps, options
        self._turn = CapacityLimiter(1)
        self.info = AttackInfo(
            name=name,
            family="gradients",
            calls=max(steps // EVERY, 1),
            access="white-box",
            adaptive=True,
            source="Zou et al. 2023" + ("; Zhang and Wei 2024" if options.momentum else ""),
        )

    async def run(self, session: Session) -> None:
        """Search, and ask whenever a suffix is likely to do or ten steps have led to a better one."""
        frame, search = await self._in_turn(partial(self._begun, session))
        *before, last = session.objective.conversation
        said = {tuple(frame.start)}
        for number in range(1, self._steps + 1):
            await self._in_turn(search.step)
            suffix = search.reached or (search.best if number % EVERY == 0 or number == self._steps else None)
            if suffix is None or tuple(suffix) in said:
                continue
            said.add(tuple(suffix))
            text = last.content + frame.texts([suffix])[0]
            note = f"step {number}, loss {search.loss:.3f}, {search.evaluated} candidates"
            await session.ask([(*before, Message(role="user", content=text))], note=note)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        return await run_sync(work, limiter=self._turn)

    def _begun(self, session: Session) -> tuple[Frame, Search]:
        local, allowed = opened(self._model)
        conversation = session.objective.conversation
        frame = framed(local, conversation, wording("gcg")["aim"], self._options.length, session.system)
        return frame, Search(local, frame, allowed, self._options, session.random.getrandbits(32))


def gcg(*arguments: str) -> Gcg:
    """Return the attack: ``gcg``, ``gcg(MODEL)``, ``gcg(hf:FOLDER, steps=500, width=512, momentum=0.4)``.

    Args:
        arguments: the model that is opened, default ``embedded``; ``steps``; and of :class:`SearchOptions`
            ``length``, ``width``, ``top_k``, ``buffer``, ``momentum``.

    Raises:
        UsageError: an argument is not known or out of range.
        MissingExtraError: torch or transformers is not installed.
    """
    needs_torch("The attack 'gcg'")
    models = [each for each in arguments if "=" not in each]
    given = {
        name.strip(): value.strip() for name, _, value in (a.partition("=") for a in arguments if "=" in a)
    }
    share = given.pop("momentum", "0")
    known = {"steps", "length", "width", "top_k", "buffer"}
    if len(models) > 1 or not given.keys() <= known:
        raise UsageError(
            f"gcg does not take {', '.join(sorted(given.keys() - known) or models[1:])}.",
            f"It takes a model and {', '.join(sorted(known))}, momentum, as in gcg(embedded, width=64).",
        )
    numbers = dict(zip(given, whole_numbers("gcg", **given), strict=True))
    steps = numbers.pop("steps", _STEPS)
    options = SearchOptions(**numbers, momentum=_share(share))
    return Gcg(models[0] if models else _MODEL, steps, options, _name(arguments))


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise UsageError(f"'{text}' is no momentum.", "Give a number from 0 to below 1, as in momentum=0.4.")
    return value


def _name(arguments: tuple[str, ...]) -> str:
    return f"gcg({', '.join(arguments)})" if arguments else "gcg"
