"""Explanations as pages."""

from __future__ import annotations

from harmless.explain.attribution import Attribution, Explained
from harmless.explain.counterfactual import Counterfactual, Flip
from harmless.report.charts.layers import plot
from harmless.report.sections import STEPS, Heat, Page, Rows, Section, heat

METHODS = {
    "ablation": "Each word left out",
    "gradient": "Input times gradient",
    "integrated": "Integrated gradients",
}


def attribution_page(found: Explained) -> Page:
    """Return which words drive a refusal or a reply."""
    return Page(
        "What drives it",
        found.target,
        attribution_finding(found),
        attribution_sections(found),
    )


def attribution_sections(found: Explained, *, covered: bool = False) -> tuple[Section, ...]:
    """Return a section for each method; ``covered`` ones show the text when they are asked to."""
    return tuple(_attribution(found, each, covered) for each in found.attributions)


def attribution_finding(found: Explained) -> str:
    """Return in a sentence what was explained, and the words that matter most by the first method."""
    scores = found.attributions[0].scores
    order = sorted(range(len(scores)), key=lambda i: scores[i])
    words = [found.text[slice(*span)] for span in found.spans]
    speak = [words[i] for i in reversed(order) if scores[i] > 0][:3]
    against = [words[i] for i in order if scores[i] < 0][:3]
    what = "the reply" if found.reply is not None else "refusal"
    measure = (
        f"The reply has a log-probability of {found.value:.1f}"
        if found.reply is not None
        else f"The log-odds of a refusal are {found.value:+.1f}"
    )
    told = [
        f"“{'”, “'.join(some)}” {side} {what}"
        for some, side in ((speak, "speak for"), (against, "speak against"))
        if some
    ]
    return f"{measure}; {' and '.join(told)}." if told else f"{measure}; no word changes them."


def _attribution(found: Explained, by: Attribution, covered: bool) -> Section:
    notes = []
    if by.gap is not None:
        notes.append(f"Of the change from padding to the prompt {by.gap:.0%} is not accounted for.")
    test = by.deletion
    if test:
        notes.append(deletion_words(by))
    what = "the reply" if found.reply is not None else "refusal"
    return Section(
        METHODS[by.method],
        f"Blue words speak for {what}, red ones against it; point at a word for its share in nats.",
        heats=(heat("Prompt", found.text, found.spans, by.scores),),
        covered=covered,
        plot=plot(
            test.left_out,
            {"in the order of the scores": test.curve, "in random order": test.random},
            across="Words left out",
            up="Log-probability of the reply" if found.reply is not None else "Log-odds of refusal",
        )
        if test
        else None,
        notes=tuple(notes),
    )


def deletion_words(by: Attribution) -> str:
    """Return what the deletion test says of an attribution that has one."""
    test = by.deletion
    assert test is not None
    mean = sum(test.areas) / len(test.areas)
    verdict = (
        "faithful: sooner than every one of"
        if test.faithful
        else "not shown to be faithful: not sooner than all of"
    )
    return (
        f"Deletion test: {verdict} {len(test.areas)} random orders (area {test.area:+.2f} nats, "
        f"random {mean:+.2f})."
    )


def counterfactual_page(found: Counterfactual) -> Page:
    """Return the smallest edit that flips what a target does, and swaps of identity terms."""
    sections = []
    if found.edit:
        sections.append(
            Section(
                "Smallest edit" if found.edit.flips else "Nearest edit",
                f"{found.tried} prompts were asked; nothing is claimed of others.",
                heats=(_marked(found.text, found.edit), Heat("After", ((found.edit.text, 0, ""),))),
            )
        )
    cells = tuple(
        (
            f"{each.term} → {each.other}",
            each.axis,
            "not judged" if each.refused is None else "refused" if each.refused else "answered",
            "–" if each.score is None else f"{each.score:.2f}",
            "yes" if each.flips else "no",
        )
        for each in found.swaps
    )
    if cells:
        head = ("Exchanged", "Axis", "Then", "Refusal", "Changes the decision")
        sections.append(
            Section("Identity terms", "All terms of the prompt are exchanged.", rows=Rows(head, cells))
        )
    return Page("Counterfactual", found.target, counterfactual_finding(found), tuple(sections))


def counterfactual_finding(found: Counterfactual) -> str:
    """Return in a sentence what flips the decision."""
    was, then = ("refused", "answered") if found.refused else ("answered", "refused")
    edit = found.edit
    if edit is None or not edit.flips:
        told = f"The prompt is {was}, and no edit that was tried changes that"
    else:
        words = [
            f"“{each.word}” → “{each.put}”" if each.put else f"without “{each.word}”" for each in edit.changes
        ]
        told = f"The prompt is {was}; {', '.join(words)}, and it is {then}"
    if not found.biased:
        return f"{told}."
    terms = ", ".join(f"{each.term} → {each.other}" for each in found.biased)
    return f"{told}. Bias: the decision changes with {terms}."


def _marked(text: str, edit: Flip) -> Heat:
    pieces: list[tuple[str, int, str]] = []
    at = 0
    for each in edit.changes:
        start, end = each.span
        pieces += [(text[at:start], 0, ""), (text[start:end], -STEPS, each.put or "left out")]
        at = end
    pieces.append((text[at:], 0, ""))
    return Heat("Before", tuple(piece for piece in pieces if piece[0]))
