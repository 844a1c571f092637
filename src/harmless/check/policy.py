"""Reading the policy file."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harmless import guards, taxonomy
from harmless.core import Policy
from harmless.errors import BadFileError, UnknownNameError


def load_policy(path: str | Path | None = None) -> Policy:
    """Return the policy of a YAML file, or the default one.

    Raises:
        BadFileError: the file is missing, not YAML, or not a policy, or names an unknown guard or hazard; gives
            line and column where known.
    """
    if path is None:
        text = (resources.files("harmless.check") / "default_policy.yaml").read_text(encoding="utf-8")
        return Policy.model_validate(yaml.safe_load(text))
    path = Path(path)
    try:
        plain: Any = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        cause = getattr(error, "strerror", None) or error
        raise BadFileError(path, f"It cannot be read: {cause}.", next_step="Check the path.") from None
    except yaml.YAMLError as error:
        raise BadFileError.not_yaml(path, error) from None
    return _validated(path, plain)


def _validated(path: Path, plain: Any) -> Policy:
    if not isinstance(plain, dict):
        raise BadFileError(path, "Not a policy: it has no fields.", next_step="Start from `harmless policy`.")
    default = load_policy().model_dump()
    try:
        policy = Policy.model_validate({**default, "name": path.stem, **plain})
        _known_guards(path, policy.guards)
        keys = tuple(_keys(path, "hazards", policy.hazards))
        named = _keys(path, "refusal_texts", policy.refusal_texts)
        texts = dict(zip(named, policy.refusal_texts.values(), strict=True))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "policy"
        raise BadFileError(path, f"{field}: {first['msg']}.", next_step="See `harmless policy`.") from None
    return policy.model_copy(update={"hazards": keys, "refusal_texts": texts})


def _known_guards(path: Path, named: Iterable[str]) -> None:
    for name in named:
        kind, known = name.partition("(")[0], guards.names()
        if kind not in known:
            error = UnknownNameError("guard", kind, known)
            raise BadFileError(path, f"guards: {error.message}", next_step=error.next_step)


def _keys(path: Path, field: str, names: Iterable[str]) -> list[str]:
    try:
        return [taxonomy.load().hazard(name).key for name in names]
    except UnknownNameError as error:
        raise BadFileError(path, f"{field}: {error.message}", next_step=error.next_step) from None
