"""What a model remembers of what it was trained on, seen from inside (torch)."""

from harmless.attacks.privacy.canary import Canary, Exposure, exposures, planted, read_canaries
from harmless.attacks.privacy.membership import Membership, membership
from harmless.attacks.privacy.passages import Passage, read_passages
from harmless.attacks.privacy.recall import Recall, recall

__all__ = [
    "Canary",
    "Exposure",
    "Membership",
    "Passage",
    "Recall",
    "exposures",
    "membership",
    "planted",
    "read_canaries",
    "read_passages",
    "recall",
]
