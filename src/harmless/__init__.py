"""Make any LLM harmless, and prove it."""

__version__ = "0.1.0"
