"""Templates with a place for the objective, and the attacks that use them."""

from harmless.attacks.templates.attack import Templates
from harmless.attacks.templates.template import Template, from_file, templates

__all__ = ["Template", "Templates", "from_file", "templates"]
