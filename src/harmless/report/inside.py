"""What is inside a model, as a page."""

from __future__ import annotations

from harmless.explain.inside import Changed, Direction, Inside, Lens
from harmless.report.charts.layers import plot
from harmless.report.sections import Page, Rows, Section


def inside_page(found: Inside) -> Page:
    """Return probes, direction, lens and what an alignment changed, by layer."""
    sections = [_probes(found)]
    if found.direction:
        sections.append(_direction(found.direction))
    if found.lens:
        sections.append(_lens(found.lens))
    if found.changed:
        sections.append(_changed(found.changed))
    return Page("Inside", found.target, inside_finding(found), tuple(sections))


def inside_finding(found: Inside) -> str:
    """Return in a sentence where what can be read off."""
    told = [
        f"{each.property} at layer {each.best} (AUROC {each.auroc[each.best]:.2f})"
        for each in found.probes
        if each.best is not None
    ]
    return f"Read off best: {', '.join(told)}." if told else "There are too few rows to read anything off."


def _probes(found: Inside) -> Section:
    fitted = {each.property: each.auroc for each in found.probes if each.auroc}
    cells = []
    for each in found.probes:
        rows = f"{each.positive} of {each.rows}"
        if each.best is None or each.low is None or each.high is None or each.shuffled is None:
            cells.append((each.property, rows, "–", "too few rows of one class", "–"))
            continue
        span = f"{each.auroc[each.best]:.3f} ({each.low:.2f} to {each.high:.2f})"
        cells.append((each.property, rows, str(each.best), span, f"{each.shuffled:.2f}"))
    return Section(
        "What can be read off",
        "AUROC of a linear probe at each layer, on clusters of prompts that it has not seen (5 folds). That "
        "something can be read off does not show that the model uses it. Truth is tested across topics. "
        "Refusal is whether the model itself is likelier to open with one than not.",
        plot=plot(
            range(found.layers + 1), fitted, across="Layer (0 is the embedding)", up="AUROC", ends=(0.3, 1)
        ),
        rows=Rows(
            ("Property", "Positive", "Best layer", "AUROC there (95 %)", "Labels shuffled"), tuple(cells)
        ),
        notes=("The best layer was chosen by its AUROC, so its interval is a little optimistic.",),
    )


def _direction(found: Direction) -> Section:
    cells = tuple(
        (
            each.what,
            f"{each.harmful:+.2f}",
            f"{each.benign:+.2f}",
            f"{each.harmful_refused:.0%}",
            f"{each.benign_refused:.0%}",
        )
        for each in found.effects
    )
    return Section(
        "Refusal direction",
        f"Difference in means of harmful and benign prompts at layer {found.layer}, taken out of every layer "
        f"or added there (Arditi et al. 2024), on {found.prompts} harmful and as many benign prompts that it "
        "was not made of. A random direction of the same length is the control.",
        rows=Rows(
            ("What is done", "Log-odds, harmful", "Log-odds, benign", "Refused, harmful", "Refused, benign"),
            cells,
        ),
    )


def _lens(found: Lens) -> Section:
    layers = range(len(found.harmful))
    return Section(
        "Logit lens",
        "What each layer would say if it were the last: log-odds that the reply begins as a refusal does, and "
        "the likeliest first token on harmful prompts. Early layers mislead.",
        plot=plot(
            layers,
            {"harmful": found.harmful, "benign": found.benign},
            across="Layer",
            up="Log-odds of a refusal's first token",
        ),
        rows=Rows(("Layer", "Likeliest token"), tuple((str(i), repr(found.tokens[i])) for i in layers)),
    )


def _changed(found: Changed) -> Section:
    return Section(
        "What the training changed",
        f"Relative change from {found.against}: of the weights, and of the states behind the same prompts.",
        plot=plot(
            range(1, len(found.weights) + 1),
            {"weights": found.weights, "states": found.states},
            across="Layer",
            up="Relative change",
        ),
    )
