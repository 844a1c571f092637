"""``python -m harmless.data.cards FOLDER``: write the data cards."""

import sys
from pathlib import Path

from harmless.data.cards import write_cards

if __name__ == "__main__":
    for path in write_cards(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/data")):
        print(path)
