"""One report model, written as HTML and JSON; the machine forms of runs and their schemas."""

from harmless.report.build import build
from harmless.report.documents import ComparisonDocument, check_document, comparison_document
from harmless.report.front import proof_document, render_proof, write_proof
from harmless.report.guard_bench import bench_document, render_bench, write_bench, write_case_study
from harmless.report.model import Example, PolicyCheck, Report
from harmless.report.page import render_html
from harmless.report.schema import schema
from harmless.report.write import render_json, report_document, write

__all__ = [
    "ComparisonDocument",
    "Example",
    "PolicyCheck",
    "Report",
    "bench_document",
    "build",
    "check_document",
    "comparison_document",
    "proof_document",
    "render_bench",
    "render_html",
    "render_json",
    "render_proof",
    "report_document",
    "schema",
    "write",
    "write_bench",
    "write_case_study",
    "write_proof",
]
