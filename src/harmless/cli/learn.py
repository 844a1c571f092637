"""``harmless learn``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from harmless.cli.console import err, print_json
from harmless.cli.console import out as console
from harmless.cli.options import Workspace, open_store
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.attacks.lessons import Lessons


def learn(
    run: str = "latest",
    /,
    *,
    out: Path = Path("harmless-lessons"),
    json: bool = False,
    workspace: Workspace = None,
) -> None:
    """Draft guard rules, training rows, preference pairs and a regression suite from the failures of a run.

    The files hold harmful prompts and replies; nothing of them is printed. Read rules before you use them.
    Needs the extra data.

    Args:
        run: id of a check or an attack, or its beginning, or `latest`.
        out: folder to write rules.yaml, rows.jsonl, preferences.jsonl and regression.jsonl into; files
            of these names that hold something else are not replaced.
        json: print one JSON document instead of a table; it has no text of prompts.
    """
    from harmless.attacks.lessons import learn as learn_from

    with open_store(workspace) as store:
        drafts = learn_from(store, run)
    if foreign := drafts.foreign(out):
        raise UsageError(
            f"{foreign[0]} holds something else: what was learnt of another run, or was edited.",
            "Choose another --out, or move the files away.",
        )
    files = drafts.write(out)
    if json:
        found = drafts.lessons.model_dump(mode="json", exclude={"rules": {"file"}})
        found["rules"]["rules"] = len(drafts.lessons.rules.file.rules)
        print_json({**found, "files": [str(path) for path in files]})
        return
    _show(drafts.lessons, out)
    for path in files:
        err.print(f"Wrote {path}")


def _show(found: Lessons, out: Path) -> None:
    rules = found.rules
    title = f"{escape(found.target)}: {found.failures} failures of run {found.run}"
    table = Table(title=title, title_justify="left")
    table.add_column("draft")
    table.add_column("", justify="right")
    table.add_column("used by", overflow="fold")
    table.add_row("guard rules", str(len(rules.file.rules)), f'--guard "rules(default, {out}/rules.yaml)"')
    table.add_row("training rows", str(found.rows), "harmless guard train, in the folder of --data")
    table.add_row("prompts with bad replies", str(found.preferences), "harmless align")
    table.add_row(
        "regression prompts", str(found.regression), f"harmless check TARGET --suite {out}/regression.jsonl"
    )
    console.print(table)
    console.print(
        f"The rules match {rules.covered} of {rules.prompts} failing prompts. Of {rules.benign} benign ones, "
        f"which had no say in their choice, they flag {rules.added} that our default rules do not (with 95 % "
        f"confidence at most {rules.added_at_most:.2%}); these flag {rules.flagged_before}. {rules.dropped} "
        "more rules were dropped because they matched some."
    )
    if found.benign:
        console.print(f"{found.benign} of the training rows are benign requests in the frames of the failures.")
    if found.near_benign:
        console.print(f"{found.near_benign} prompts nearly are benign training rows, and were left out.")
    for reason, count in found.barred.items():
        console.print(
            f"{count} objectives are {escape(reason)}: they are in the regression suite only, and of their "
            "prompts just the frame was read for rules. To learn more, attack with objectives of your own."
        )
