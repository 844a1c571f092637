"""What succeeded in an earlier run of ours, said again word by word: to another target, or after a defence."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.replay import key_of
from harmless.attacks.results import Success, successes
from harmless.core import Conversation, digest
from harmless.errors import UsageError
from harmless.evidence import Store

_ALL = 1_000_000


class Recorded:
    """Asks what reached the same objectives before; earlier turns stand as they were, replies included.

    All of it is asked, also after a success: what part of it transfers is the question.

    Args:
        name: of the attack.
        found: the successes, the best first.
        source: the run that they come from.
    """

    def __init__(self, name: str, found: Sequence[Success], source: str) -> None:
        self._for: dict[str, dict[Conversation, None]] = defaultdict(dict)
        for each in found:
            self._for[key_of(each.objective)].setdefault(each.conversation)
        self.info = AttackInfo(
            name=name,
            family="replay",
            revision=digest([[each.objective, each.conversation] for each in found], length=8),
            calls=max(map(len, self._for.values()), default=1),
            source=source,
        )

    async def run(self, session: Session) -> None:
        """Ask what succeeded for this objective; nothing if nothing did."""
        said = list(self._for.get(key_of(session.objective.text), ()))
        if said:
            await session.ask(said, note="again")


def recorded(run: str, workspace: str = "") -> Recorded:
    """Return the attack that says again what succeeded in a run: ``recorded(RUN)``, ``recorded(RUN, FOLDER)``.

    Args:
        run: the id of an attack, or its beginning.
        workspace: the folder of the evidence; default $HARMLESS_WORKSPACE or .harmless.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: the run is no attack, nothing succeeded in it, there is no evidence in that folder, or the
            run is not named by its id: once the replay has begun, ``latest`` would be the replay itself.
    """
    path = Path(workspace or os.environ.get("HARMLESS_WORKSPACE", ".harmless")) / "evidence.db"
    if not path.is_file():
        raise UsageError(f"There is no evidence in {path.parent}.", "Name the folder: recorded(RUN, FOLDER).")
    if run == "latest":
        raise UsageError("Which run is to be replayed?", "Name it by its id; see harmless runs.")
    with Store(path) as store:
        record = store.run(run)
        if record.kind != "attack":
            raise UsageError(f"The run {record.id} is a {record.kind}, not an attack.", "See harmless runs.")
        found = successes(store, record.id, _ALL)
    if not found:
        raise UsageError(f"Nothing succeeded in the run {record.id}.", "Replay another one.")
    return Recorded(f"recorded({record.id})", found, f"run {record.id}")
