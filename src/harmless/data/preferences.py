"""Preferences as questions: which of two replies does a target find likelier."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator

from harmless.core import Expect, Prompt
from harmless.data.rows import Preference


def questions(preferences: Iterable[Preference]) -> Iterator[Prompt]:
    """Yield a question for each preference: the options are both last replies, in an order that the id decides.

    A preference whose dialogues part before the last reply has no one conversation that both continue, and is
    left out.
    """
    for each in preferences:
        if each.chosen[:-1] != each.rejected[:-1]:
            continue
        replies = [each.chosen[-1].content, each.rejected[-1].content]
        right = random.Random(each.id).randrange(2)
        yield Prompt(
            id=each.id,
            conversation=(*each.prompt, *each.chosen[:-1]),
            expect=Expect.CHOOSE,
            options=tuple(replies if right == 0 else reversed(replies)),
            correct=(right,),
            hazard=each.hazard,
            cluster=each.cluster,
            source=each.source,
            licence=each.licence,
            language=each.language,
            meta=each.meta,
        )
