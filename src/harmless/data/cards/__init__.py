"""Data cards: pages made from the catalog and from the twins, so that they cannot say anything else.

``python -m harmless.data.cards docs/data`` writes them.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from harmless.data.catalog import Columns, Entry, HazardOf, Hub, catalog, families
from harmless.data.difficulty import difficulties
from harmless.data.twins import ordinary, pairs_of_twins
from harmless.data.validate import last_text


def cards() -> dict[str, str]:
    """Return the Markdown of every page by its file name."""
    pages = Environment(
        loader=PackageLoader("harmless.data", "cards"), undefined=StrictUndefined, keep_trailing_newline=True
    )
    pages.filters["full_stop"] = _full_stop
    pages.globals |= {"rows": _rows, "place": _place, "columns": _columns, "hazards": _hazards}
    by_family = {
        family: [each for each in catalog().values() if each.family == family] for family in families()
    }
    twins = _twins()
    written = {
        f"{family}.md": pages.get_template("family.md.j2").render(title=title, sets=by_family[family])
        for family, title in families().items()
    }
    written["index.md"] = pages.get_template("index.md.j2").render(families=by_family, twins=twins)
    written["twins.md"] = pages.get_template("twins.md.j2").render(**twins)
    return {name: _tidy(text) for name, text in written.items()}


def write_cards(folder: Path) -> list[Path]:
    """Write every page into a folder and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in cards().items():
        (folder / name).write_text(text, encoding="utf-8")
    return [folder / name for name in cards()]


def _twins() -> dict[str, Any]:
    pairs = list(pairs_of_twins())
    a_hazard = Counter(pair["hazard"] for pair in pairs)
    lengths = [len(last_text(pair["harmful"]).split()) for pair in pairs]
    least = min(a_hazard.values())
    return {
        "pairs": len(pairs),
        "hazards": len(a_hazard),
        "least": least,
        "forms": dict(Counter(pair["form"] for pair in pairs).most_common()),
        "registers": dict(Counter(pair["register"] for pair in pairs).most_common()),
        "words": (min(lengths), round(statistics.median(lengths)), max(lengths)),
        "difficulty": _difficulty(),
        "ordinary": len(ordinary("ordinary")),
        "short": len(ordinary("short")),
        "upper": round(100 * (1 - 0.025 ** (1 / least))),  # Clopper-Pearson, no event
    }


def _difficulty() -> dict[str, Any]:
    """Return how the difficulties were measured, and the 10th, 50th and 90th percentile of each side."""
    found = difficulties()
    sides = {
        "harmful": [each.harmful for each in found.pairs.values()],
        "benign": [each.benign for each in found.pairs.values()],
    }
    tenths = {side: statistics.quantiles(values, n=10) for side, values in sides.items()}
    return {
        "about": found,
        "replies": int(sum(sample["times"] for sample in found.samples)),
        "sides": {side: (cuts[0], cuts[4], cuts[8]) for side, cuts in tenths.items()},
    }


def _rows(each: Entry) -> str:
    if each.rows is None:
        return ""
    return f"{each.rows:,}" + ("*" if any("rows" in what for what in each.unverified) else "")


def _place(hub: Hub | None) -> str:
    if hub is None:
        return "not for download; give a file"
    if not hub.id:
        return ", ".join(f"[{address.rpartition('/')[2]}]({address})" for address in hub.files)
    parts = [hub.config, f"split {hub.split}", hub.data_dir, hub.revision, "gated" if hub.gated else None]
    return f"`{hub.id}` ({', '.join(part for part in parts if part)})"


def _columns(columns: Columns, optional: Sequence[str]) -> str:
    whole = {"*": "the whole document"}
    names = (
        f"{whole.get(c, f'`{c}`')}{' (optional)' if field in optional else ''}" for field, c in columns.items()
    )
    return ", ".join(names)


def _hazards(each: Entry) -> str:
    rule = each.hazard
    if rule is None:
        return "none"
    if isinstance(rule, str):
        return rule
    return _of_rule(rule)


def _of_rule(rule: HazardOf) -> str:
    if rule.spine:
        return "SALAD-Bench's own"
    parts: list[Mapping[str, str] | str] = []
    named = "; ".join(f"{code} → {hazard}" for code, hazard in rule.map.items())
    crosswalk = f"by the crosswalk from {rule.crosswalk}" if rule.crosswalk else ""
    parts = [part for part in (crosswalk, named) if part]
    return f"{'; '.join(map(str, parts))} (own judgement; none otherwise)"


def _full_stop(text: str) -> str:
    return text if text.endswith((".", "?", "!")) else f"{text}."


def _tidy(text: str) -> str:
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return "\n".join(line for i, line in enumerate(lines) if line or lines[i - 1]) + "\n"
