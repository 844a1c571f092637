"""Attacks by templates: refusal suppression, prefixes, personas, policies, many-shot, frames, persuasion."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.templates.template import Template, from_file, templates
from harmless.core import Message
from harmless.errors import UnknownNameError

_PERSUASION = "persuasion"


class Templates:
    """Puts the objective into one template after the other, in an order of its own for every objective.

    So a budget that ends before all were tried favours none.

    Args:
        name: of the attack.
        chosen: the templates, each said once.
        family: in tables.
        source: where the idea comes from.
    """

    def __init__(self, name: str, chosen: Sequence[Template], family: str, source: str) -> None:
        self._chosen = chosen
        self.info = AttackInfo(
            name=name,
            family=family,
            calls=sum(len(each.turns) for each in chosen),
            turns="multi" if any(len(each.turns) > 1 for each in chosen) else "single",
            source=source,
        )

    async def run(self, session: Session) -> None:
        """Say all the turns of every template; one whose turn got no reply is left."""
        *before, last = session.objective.conversation
        for template in session.random.sample(self._chosen, len(self._chosen)):
            said = template.opening(tuple(before))
            for turn in template.said(last.content):
                said = (*said, Message(role="user", content=turn))
                reply = (await session.ask([said], note=template.name))[0].reply
                if not reply.has_text:
                    break
                said = (*said, Message(role="assistant", content=reply.text))


def template(name: str) -> Templates:
    """Return the attack by one template, or by all those of a user's file: ``template(mine.yaml)``.

    Raises:
        UnknownNameError: neither a template nor a YAML file.
        BadFileError: the file is not one of templates.
    """
    known = templates()
    if name in known:
        chosen, source = [known[name]], known[name].source
    elif name.endswith((".yaml", ".yml")):
        chosen, source = from_file(Path(name)), name
    else:
        raise UnknownNameError("template", name, [*known, "FILE.yaml"])
    return Templates(f"template({name})", chosen, chosen[0].family, source)


def all_templates() -> Templates:
    """Return the attack by all our templates but those of persuasion."""
    chosen = [each for each in templates().values() if each.family != _PERSUASION]
    return Templates("templates", chosen, "templates", "; ".join(dict.fromkeys(each.source for each in chosen)))


def persuasion() -> Templates:
    """Return the attack by the 40 techniques of persuasion (PAP), without a model that writes."""
    chosen = [each for each in templates().values() if each.family == _PERSUASION]
    return Templates(_PERSUASION, chosen, _PERSUASION, chosen[0].source)
