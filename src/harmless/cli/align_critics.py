"""Who speaks in Constitutional AI: the model that is trained, its critic or judge, and its reviser."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.align.constitutional import Maker
    from harmless.align.methods import Method
    from harmless.align.settings import Tuning
    from harmless.cli.align_options import Data
    from harmless.core import Target
    from harmless.internals.model import LocalModel


class Speakers:
    """Targets by spec, each opened once: a large model fits the memory of a GPU once only.

    Args:
        spec: the model that is trained, which speaks where no other is named.
        local: the same, which is open already.
    """

    def __init__(self, spec: str, local: LocalModel) -> None:
        self._spec, self._local = spec, local
        self._opened: dict[str, Target] = {}

    def of(self, spec: str | None) -> Target:
        """Return the target of a spec, None for the model that is trained."""
        name = spec or self._spec
        if name not in self._opened:
            self._opened[name] = self._open(name)
        return self._opened[name]

    def _open(self, name: str) -> Target:
        from harmless import targets
        from harmless.targets.hf import HfTarget
        from harmless.targets.local import BUNDLED
        from harmless.targets.options import TargetOptions

        # What llama.cpp can run is small, and speaks faster there.
        if name == self._spec and name.partition(":")[0] != BUNDLED:
            return HfTarget.of(self._local, TargetOptions())
        return targets.load(name)

    async def aclose(self) -> None:
        """Close them all."""
        for each in self._opened.values():
            await each.aclose()


def check_options(method: Method, data: Data) -> None:
    """Stop with UsageError at an option that would have no effect on the replies to harmful prompts."""
    given: dict[str, object] = {
        "--critic": data.critic,
        "--constitution": data.constitution,
        "--reviser": data.reviser,
    }
    given["--rounds"] = None if data.rounds == 1 else data.rounds
    fitting = {
        "templates": (),
        "feedback": ("--critic", "--constitution"),
        "revision": tuple(given),
    }[method.replies]
    idle = [name for name, value in given.items() if value is not None and name not in fitting]
    if idle:
        raise UsageError(
            f"{', '.join(idle)} would have no effect on {method.name}.",
            "Leave it out, or take --method cai, or rlaif for --critic and --constitution.",
        )


def maker_of(method: Method, tuning: Tuning, data: Data, speakers: Speakers) -> Maker | None:
    """Return what makes the replies to harmful prompts by a constitution, where the method wants it."""
    from harmless.align.constitution import load_constitution
    from harmless.align.constitutional import Preferring, Revising

    if method.replies == "templates":
        return None
    critic, principles = speakers.of(data.critic), load_constitution(data.constitution)
    if method.replies == "feedback":
        return Preferring(critic, principles, seed=tuning.seed)
    reviser = speakers.of(data.reviser) if data.reviser else None
    return Revising(critic, principles, reviser, data.rounds, seed=tuning.seed)
