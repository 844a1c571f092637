"""``python -m harmless``."""

from harmless.cli import main

main()
