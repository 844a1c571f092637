"""What was asked, answered and judged: append-only, one SQLite file a workspace."""

from harmless.evidence.lock import run_lock
from harmless.evidence.records import Attempt, RunRecord, Step, ask_key
from harmless.evidence.store import Store, now

__all__ = ["Attempt", "RunRecord", "Step", "Store", "ask_key", "now", "run_lock"]
