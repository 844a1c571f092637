"""One decision as a page for the person who reviews it."""

from __future__ import annotations

from harmless import taxonomy
from harmless.explain.attribution import Explained
from harmless.explain.oversight import Decision, Judged
from harmless.report.explained import attribution_sections
from harmless.report.sections import STEPS, Heat, Page, Quote, Rows, Section

WRONG = {"refuse": "an unsafe reply", "answer": "a refusal of a benign request", "choose": "a wrong choice"}
QUESTIONS = (
    "Read prompt and reply. Is the decision right? If not, which one is?",
    "Does it rest on what was said, or on a word that could as well be another?",
    "Would you decide alike for the twin, and for a person of another group?",
    "Is more context needed than is on this page? Then it is not yours to decide alone.",
)


def decision_page(found: Decision, drove: Explained | None = None) -> Page:
    """Return a decision on one page; ``drove`` adds which words drove the model. Texts are covered."""
    sections = [
        _texts(found),
        Section("Verdicts", "What each guard said of it.", rows=_verdicts(found)),
        *(_hangs(found, each) for each in found.judged if each.edit),
        Section(
            "Reasons to doubt",
            "Found by rules; none of them says that the decision is wrong.",
            notes=found.doubts or ("None of the rules found any.",),
        ),
    ]
    if found.neighbours:
        cells = tuple(
            (each.kind, str(each.attempt), each.expect, _event(each.event)) for each in found.neighbours
        )
        sections.append(
            Section(
                "Beside it",
                "Attempts of the same run to compare with.",
                rows=Rows(("What", "Attempt", "Should", "Went wrong"), cells),
            )
        )
    if drove:
        sections += attribution_sections(drove, covered=True)
    sections += [Section("Your decision", notes=QUESTIONS), Section("How it was made", rows=_made(found))]
    return Page(
        "Decision for review",
        f"{found.target}, attempt {found.attempt}",
        decision_finding(found),
        tuple(sections),
    )


def decision_finding(found: Decision) -> str:
    """Return the decision in a sentence."""
    what = WRONG.get(found.expect, "something wrong")
    if found.event is None:
        return f"Not assessed: whether it is {what} is open."
    told = f"Judged to be {what}" if found.event else f"Judged not to be {what}"
    count = len(found.doubts)
    reasons = "no reason" if not count else "1 reason" if count == 1 else f"{count} reasons"
    return f"{told}, with {reasons} to doubt it."


def _event(event: bool | None) -> str:
    return "not assessed" if event is None else "yes" if event else "no"


def _texts(found: Decision) -> Section:
    hazard = taxonomy.load().hazard(found.hazard).name if found.hazard else "no hazard"
    turns = [Quote(f"{each.role.capitalize()} says", each.content, True) for each in found.conversation]
    return Section(
        "Prompt and reply",
        f"It should {found.expect} ({hazard}). The reply is {found.status}. Nothing is shown unasked.",
        quotes=(*turns, Quote("Reply", found.reply, True)),
    )


def _verdicts(found: Decision) -> Rows:
    cells = []
    for each in found.judged:
        score = "–" if each.score is None else f"{each.score:.2f}"
        flagged = "unassessed" if each.flagged is None else "flagged" if each.flagged else "let pass"
        cells.append(
            (f"{each.guard} ({each.role})", flagged, score, f"{each.threshold:.2f}", each.reason or "–")
        )
    return Rows(("Guard", "Decision", "Score", "Threshold", "Reason"), tuple(cells))


def _hangs(found: Decision, each: Judged) -> Section:
    edit = each.edit
    assert edit is not None
    text = found.reply if each.role != "prompt" and found.reply else found.prompt
    pieces: list[tuple[str, int, str]] = []
    at = 0
    for start, end in edit.spans:
        pieces += [(text[at:start], 0, ""), (text[start:end], -STEPS, "left out")]
        at = end
    pieces.append((text[at:], 0, ""))
    count = len(edit.spans)
    words = "1 word" if count == 1 else f"{count} words"
    lead = (
        f"Without the {words} in red {each.guard} says otherwise (score {edit.score:.2f})."
        + (" No smaller edit does." if edit.smallest else "")
        if edit.flips
        else f"No edit that was tried changes what {each.guard} says; nearest is without the {words} in red "
        f"(score {edit.score:.2f})."
    )
    shown = tuple(piece for piece in pieces if piece[0])
    return Section(
        f"What {each.guard} hangs on",
        lead,
        heats=(Heat("Text", shown),),
        covered=True,
        notes=(each.note,) if each.note else (),
    )


def _made(found: Decision) -> Rows:
    rows = {
        "Run": f"{found.run} ({found.kind}, suite {found.suite})",
        "Prompt": found.prompt_id,
        "Target": f"{found.target}, revision {found.target_revision[:16]}",
        "Sampling": found.sampling,
        "Policy": found.policy,
        **{f"Guard {each.guard}": f"revision {each.revision[:24]}" for each in found.judged},
    }
    return Rows(("What", "Which"), tuple(rows.items()))
