"""Requests in disguise: encodings, ciphers, look-alike letters, noise, formats (Wei et al. 2023 and others).

A model that cannot read a code gives a reply that has nothing to do with the request: that is neither a refusal
nor a success. :mod:`harmless.attacks.transforms.control` measures which codes a target reads.
"""

from __future__ import annotations

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.transforms.transform import Chain, chain, names
from harmless.core import Message
from harmless.errors import UsageError

#: The argument of a spec that asks for a reply in the same code.
REPLY = "reply"
_AGAIN = 5


class Transforms:
    """Asks for the objective in one form after the other, in an order of its own for every objective.

    So a budget that ends before all were tried favours none.

    Args:
        name: of the attack.
        chains: the forms, each asked once; if there is one only and it is random, it is asked again and again.
        reply: ask for replies in the same code.
    """

    def __init__(self, name: str, chains: tuple[Chain, ...], *, reply: bool = False) -> None:
        self._chains, self._reply = chains, reply
        again = len(chains) == 1 and chains[0].random
        self._times = _AGAIN if again else 1
        calls = len(chains) * self._times
        self.info = AttackInfo(name=name, family="transforms", calls=calls, source="Wei et al. 2023")

    async def run(self, session: Session) -> None:
        """Ask in every form; a reply in a code is judged in plain text."""
        *before, last = session.objective.conversation
        for _ in range(self._times):
            for each in session.random.sample(self._chains, len(self._chains)):
                text = each.instructed(last.content, session.random, reply=self._reply)
                decode = self._decoder(each) if each.decodes_reply else None
                conversation = (*before, Message(role="user", content=text))
                await session.ask([conversation], note=each.spec, decode=decode)

    def _decoder(self, each: Chain) -> _Decoder:
        return _Decoder(each, asked=self._reply)


class _Decoder:
    """Reads replies in the codes of one chain."""

    def __init__(self, codes: Chain, *, asked: bool) -> None:
        self._codes, self._asked = codes, asked

    def __call__(self, reply: str) -> str:
        return self._codes.decoded(reply, asked=self._asked)


def transform(*specs: str) -> Transforms:
    """Return the attack with one chain of transforms, as in ``transform(rot13, markdown)``.

    The last argument ``reply`` asks for replies in the same code.

    Raises:
        UnknownNameError: no transform has that name.
        UsageError: none is named, one does not take its arguments, or replies cannot be in that code.
    """
    reply = specs[-1:] == (REPLY,)
    made = chain(specs[:-1] if reply else specs)
    if reply and not made.decodes_reply:
        raise UsageError(f"Replies cannot be read in '{made.spec}'.", "Leave 'reply' out.")
    return Transforms(f"transform({', '.join(specs)})", (made,), reply=reply)


def transforms() -> Transforms:
    """Return the attack that tries all transforms, one after the other."""
    return Transforms("transforms", tuple(chain([name]) for name in names()))
