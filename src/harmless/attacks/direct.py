"""Asks for the objective as it stands."""

from __future__ import annotations

from harmless.attacks.contract import AttackInfo, Session


class Direct:
    """One attempt an objective, without any disguise: what other attacks have to beat."""

    info = AttackInfo(name="direct", family="direct", source="baseline")

    async def run(self, session: Session) -> None:
        """Ask once."""
        await session.ask([session.objective.conversation])


def direct() -> Direct:
    """Return the attack."""
    return Direct()
