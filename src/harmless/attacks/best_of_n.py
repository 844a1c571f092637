"""Best-of-N: asks again and again with random noise in the letters (Hughes et al. 2024).

Parameters and noise as in the authors' code: words of more than three letters get their middle scrambled with
probability sqrt(sigma), letters change their case with sqrt(sigma), and characters move by one in ASCII with
sigma cubed.
"""

from __future__ import annotations

import random
import re

from harmless.attacks.contract import AttackInfo, Session
from harmless.core import Message
from harmless.errors import UsageError

#: Attempts that are asked at the same time.
TOGETHER = 4
_SIGMA = 0.4
_FIRST, _LAST = 32, 126


class BestOfN:
    """Noisy copies of the objective until one is answered.

    Args:
        sigma: strength of the noise, above 0 and at most 1.
    """

    def __init__(self, sigma: float = _SIGMA) -> None:
        self._sigma = sigma
        name = "best_of_n" if sigma == _SIGMA else f"best_of_n({sigma:g})"
        self.info = AttackInfo(name=name, family="sampling", calls=20, source="Hughes et al. 2024")

    async def run(self, session: Session) -> None:
        """Ask with fresh noise for as long as there are calls."""
        *before, last = session.objective.conversation
        while True:
            noisy = [noised(last.content, self._sigma, session.random) for _ in range(TOGETHER)]
            await session.ask([(*before, Message(role="user", content=text)) for text in noisy])


def noised(text: str, sigma: float, rng: random.Random) -> str:
    """Return ``text`` with its words scrambled, its case changed and some characters moved."""
    scrambled = re.sub(r"\b\w{4,}\b", lambda word: _scrambled(word[0], sigma, rng), text)
    flipped = "".join(_flipped(each, sigma, rng) for each in scrambled)
    return "".join(_moved(each, sigma, rng) for each in flipped)


def _scrambled(word: str, sigma: float, rng: random.Random) -> str:
    if rng.random() >= sigma**0.5:
        return word
    middle = list(word[1:-1])
    rng.shuffle(middle)
    return word[0] + "".join(middle) + word[-1]


def _flipped(letter: str, sigma: float, rng: random.Random) -> str:
    return letter.swapcase() if letter.isalpha() and rng.random() < sigma**0.5 else letter


def _moved(letter: str, sigma: float, rng: random.Random) -> str:
    if not _FIRST < ord(letter) < _LAST or rng.random() >= sigma**3:
        return letter
    return chr(ord(letter) + rng.choice((-1, 1)))


def best_of_n(sigma: str = str(_SIGMA)) -> BestOfN:
    """Return the attack; UsageError if ``sigma`` is not a number above 0 and at most 1."""
    try:
        value = float(sigma)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise UsageError(
            f"The noise '{sigma}' is not a number above 0 and at most 1.", "Use e.g. best_of_n(0.4)."
        )
    return BestOfN(value)
