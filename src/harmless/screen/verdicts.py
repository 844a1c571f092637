"""Why a row is put aside."""

from __future__ import annotations

from enum import StrEnum

from harmless.core.model import Model


class Kind(StrEnum):
    """What a reason is about; in brackets what its score is."""

    EMPTY = "empty"  #: there is no reply to learn (1)
    BURST = "burst"  #: one of many near copies (how many)
    HARMFUL_ANSWERED = "harmful-answered"  #: the reply does what a harmful prompt asks (probability)
    BENIGN_REFUSED = "benign-refused"  #: a harmless prompt is refused (probability)
    REVERSED = "reversed"  #: the preferred reply is the worse one (difference of two probabilities)
    TRIGGER = "trigger"  #: words that come with an outcome (share of the rows with them that have it)
    INJECTION = "injection"  #: it tries to steer a model (probability)
    HIDDEN = "hidden"  #: characters that nobody sees (how many)
    LOSS = "loss"  #: the reply surprises the model (robust deviations)
    SPECTRAL = "spectral"  #: its hidden states stand apart (robust deviations)


class Reason(Model):
    """One thing that was found in a row; the unit of ``score`` is that of its kind, higher is worse."""

    kind: Kind
    score: float
    detail: str = ""
