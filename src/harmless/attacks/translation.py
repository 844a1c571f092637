"""The objective in a language in which the target has seen little of its safety training (Yong et al. 2023).

The attacker's model translates. The reply is asked for in English, in which the judge reads it; the published
studies translate replies back instead, which needs a translator that can be trusted with them.
"""

from __future__ import annotations

from collections.abc import Sequence

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.writing import talk, wording, written_prompt
from harmless.core import Message


class Translation:
    """Asks once in every language; one into which the attacker's model does not translate is left out.

    Args:
        languages: their English names.
        name: of the attack.
    """

    def __init__(self, languages: Sequence[str], name: str) -> None:
        self._languages = languages
        self.info = AttackInfo(
            name=name, family="translation", calls=len(languages), attacker=True, source="Yong et al. 2023"
        )

    async def run(self, session: Session) -> None:
        """Translate and ask, language by language."""
        *before, last = session.objective.conversation
        words = wording("translation")
        for language in self._languages:
            asked = words["write"].replace("{language}", language).replace("{objective}", last.content)
            text = written_prompt(await session.write(talk(words["system"], asked), note=language))
            if text is None:
                continue
            message = Message(role="user", content=words["ask"].replace("{translation}", text))
            await session.ask([(*before, message)], note=language)


def translation(*languages: str) -> Translation:
    """Return the attack in these languages, as in ``translation(Zulu, Thai)``; in nine if none is named."""
    name = f"translation({', '.join(languages)})" if languages else "translation"
    return Translation(languages or wording("translation")["languages"], name)
