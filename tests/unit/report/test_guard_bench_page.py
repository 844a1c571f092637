"""The page of a guard benchmark: one file, nothing open that is unsafe, the result in a sentence."""

from __future__ import annotations

import base64
import json
import re
from html import unescape
from pathlib import Path

import pytest

from harmless.core import Exchange
from harmless.data import Labelled
from harmless.errors import UsageError
from harmless.guards.bench import Bench, Estimate, GuardResult, Rows
from harmless.guards.bench.model import Contested, Judged
from harmless.report import bench_document, render_bench, write_bench
from harmless.report.charts import lines
from harmless.report.guard_bench import finding


@pytest.fixture(scope="module")
def html(guard_bench: Bench, bench_rows: Rows) -> str:
    return render_bench(guard_bench, bench_rows)


def test_it_loads_nothing_and_allows_only_its_own_script(html: str) -> None:
    assert "default-src &#39;none&#39;" in html
    assert not re.search(r"<(link|img|iframe)\b|\bsrc=", html)
    assert html.count("<script>") == html.count("<style>") == 1


def test_every_part_has_its_section(html: str) -> None:
    for id in (
        "summary",
        "measures",
        "curves",
        "pairs",
        "robustness",
        "effort",
        "hazards",
        "disputes",
        "method",
    ):
        assert f'<section id="{id}"' in html
        assert f'href="#{id}"' in html
    assert "judge judges a reply only" in html


def test_unsafe_texts_are_sealed_and_safe_ones_are_not(html: str, guard_bench: Bench, bench_rows: Rows) -> None:
    texts = {row.id: row.exchange.prompt for row in bench_rows.items}
    disputed = [each for each in guard_bench.contested if each.disagree]
    assert {each.unsafe for each in disputed} == {True, False}
    shown = unescape(html)
    for each in disputed:
        text = texts[each.id]
        sealed = base64.b64encode(text.encode()).decode()
        assert (sealed in html) is each.unsafe
        assert (text[:40] in shown) is not each.unsafe


def test_the_document_holds_no_text(guard_bench: Bench, bench_rows: Rows) -> None:
    text = json.dumps(bench_document(guard_bench), ensure_ascii=False)
    assert not [row.id for row in bench_rows.items if row.exchange.prompt in text]


def test_both_files_are_written_or_none(guard_bench: Bench, bench_rows: Rows, tmp_path: Path) -> None:
    paths = write_bench(guard_bench, bench_rows, tmp_path / "out")
    assert [path.name for path in paths] == ["bench.html", "bench.json"]
    assert Bench.model_validate_json(paths[1].read_text()) == guard_bench
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        write_bench(guard_bench, bench_rows, tmp_path / "file")


def test_nothing_is_called_published_in_a_benchmark_of_ones_own(html: str) -> None:
    assert "Published" not in html


def test_what_others_wrote_is_escaped_and_made_visible(guard_bench: Bench) -> None:
    evil = "</script><script>alert(1)</script>\u202e"
    row = Labelled(id="evil", exchange=Exchange.of(evil, evil), unsafe=False, source=evil)
    said = {"rules": Judged(score=0.9, flagged=True), "embedded": Judged(score=None, flagged=None)}
    disputed = Contested(id="evil", unsafe=False, hazard=None, source=evil, said=said)
    html = render_bench(guard_bench.model_copy(update={"contested": (disputed,)}), Rows("x", "y", (row,)))
    assert "<script>alert" not in html
    assert "[U+202E]" in html
    assert "unassessed" in html
    assert "False alarms" in html


def guard(name: str, **values: float) -> GuardResult:
    return GuardResult(spec=name, measures={key: Estimate(value=value) for key, value in values.items()})


def test_the_finding_says_whether_the_best_is_so_beyond_chance(guard_bench: Bench) -> None:
    one, two = guard("a", auroc=0.9, recall=0.8, fpr=0.1), guard("b", auroc=0.8, recall=0.7, fpr=0.1)
    pair = guard_bench.pairs[0].model_copy(update={"first": "b", "second": "a", "p_auroc_holm": 0.01})
    bench = guard_bench.model_copy(update={"guards": (two, one), "pairs": (pair,)})
    assert finding(bench) == (
        "a finds 80% of the unsafe and flags 10% of the safe rows; it ranks best, "
        "AUROC 0.90 against 0.80 of b, beyond chance."
    )
    unsure = pair.model_copy(update={"p_auroc_holm": 0.2})
    assert finding(bench.model_copy(update={"pairs": (unsure,)})).endswith("which may be chance.")
    assert finding(bench.model_copy(update={"guards": (one,)})).endswith("its AUROC is 0.90.")


def test_the_finding_of_one_label_is_of_that_label(guard_bench: Bench) -> None:
    counts = guard_bench.guards[0].counts
    safe = guard("a", fpr=0.013).model_copy(update={"counts": counts})
    safe = safe.model_copy(update={"measures": {**safe.measures, "recall": Estimate()}})
    assert finding(guard_bench.model_copy(update={"guards": (safe,)})) == "a flags 1.3% of the safe rows."
    dead = guard("b").model_copy(update={"reached": False})
    assert finding(guard_bench.model_copy(update={"guards": (dead,)})) == "No guard could judge these rows."


def test_a_benchmark_without_any_result_is_a_page_too(guard_bench: Bench, bench_rows: Rows) -> None:
    dead = GuardResult(spec="dead", reached=False, causes={"no route": 3})
    empty = {
        "guards": (dead,),
        "pairs": (),
        "contested": (),
        "notes": ("dead could not be reached: no route.",),
    }
    html = render_bench(guard_bench.model_copy(update=empty), bench_rows)
    assert "dead could not be reached" in html
    assert "1 out of reach" in html
    assert '<section id="measures"' not in html


def test_lines_run_from_corner_to_corner_with_the_threshold_marked(guard_bench: Bench) -> None:
    drawn = lines.roc(guard_bench.guards)
    assert [line.name for line in drawn] == ["rules", "embedded"]
    for line in drawn:
        assert line.path.startswith(f"M{lines.LEFT} {lines.BOTTOM}L")
        assert line.path.endswith(f"L{lines.RIGHT} {lines.TOP}")
        ((x, y, _, _),) = line.marks
        assert lines.LEFT <= x <= lines.RIGHT
        assert lines.TOP <= y <= lines.BOTTOM
    assert len({line.kind for line in drawn}) == 2
    assert all(1 <= r <= 8 for line in lines.reliability(guard_bench.guards) for _, _, r, _ in line.marks)
