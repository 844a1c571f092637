"""The time and the money of a campaign; how often the target is asked is an allowance's."""

from __future__ import annotations

import time

from harmless.check.plan import Budget
from harmless.core import Reply


class Spent(Exception):  # noqa: N818 - not an error: the way in which a budget ends
    """Nothing more may be asked."""


class Purse:
    """Says when time or money is used up.

    Args:
        budget: the limits; its calls are not counted here.
        usd: what earlier starts of the same run have paid.
    """

    def __init__(self, budget: Budget, usd: float = 0.0) -> None:
        self._budget, self._usd, self._started = budget, usd, time.monotonic()

    @property
    def spent(self) -> bool:
        """Whether nothing is left."""
        seconds, usd = self._budget.seconds, self._budget.usd
        late = seconds is not None and time.monotonic() - self._started >= seconds
        return late or (usd is not None and self._usd >= usd)

    def pay(self, reply: Reply) -> None:
        """Take off what a reply costs."""
        self._usd += reply.cost_usd or 0.0
