from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmless import report
from harmless.errors import UnknownNameError, UsageError
from harmless.evidence import Store
from tests import reports


def test_both_files_are_written_in_the_order_asked_for(store: Store, tmp_path: Path) -> None:
    out = tmp_path / "new" / "folder"
    paths = report.write(store, reports.AFTER, before=reports.BEFORE, out=out)
    assert [path.name for path in paths] == ["report.html", "report.json"]
    assert sorted(path.name for path in out.iterdir()) == ["report.html", "report.json"]
    document = json.loads(paths[1].read_text(encoding="utf-8"))
    assert document["finding"] in paths[0].read_text(encoding="utf-8")


def test_one_format_can_be_had_alone(store: Store, tmp_path: Path) -> None:
    (path,) = report.write(store, "latest", out=tmp_path, formats=["json"])
    assert json.loads(path.read_text(encoding="utf-8"))["result"]["run"] == reports.AFTER


def test_an_unknown_format_is_refused_before_anything_is_done(store: Store, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="html"):
        report.write(store, reports.AFTER, out=tmp_path / "out", formats=["htm"])
    assert not (tmp_path / "out").exists()


def test_an_old_report_is_replaced_whole(store: Store, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("old")
    report.write(store, reports.AFTER, out=tmp_path)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_failure_leaves_the_old_report_and_no_half_of_a_new_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report.html").write_text("old")
    real = Path.write_text

    def full(self: Path, text: str, *args: object, **options: object) -> int:
        if "json" in self.name:
            raise OSError(28, "No space left on device")
        return real(self, text, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(UsageError, match="No space left"):
        report.write(store, reports.AFTER, out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    assert (tmp_path / "report.html").read_text() == "old"


def test_a_file_in_the_place_of_the_folder_is_a_clear_error(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(UsageError, match="--out"):
        report.write(store, reports.AFTER, out=tmp_path / "out")
