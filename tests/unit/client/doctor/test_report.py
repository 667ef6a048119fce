"""The lines and the JSON of an examination."""

import io
import json

import pytest

from qsh.client.doctor.report import Finding, Level, Report

FINDINGS = (
    Finding("udp", Level.PASS, "answers", facts=(("seconds", 0.5),)),
    Finding("ssh", Level.NOTE, "SSH-2.0-\x1b[2J"),
    Finding("mtu", Level.FAILURE, "too small", "make it larger"),
)


def shown(encoding="utf-8", findings=FINDINGS, **options):
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding=encoding)
    report = Report("höst", 22, out, **options)
    for finding in findings:
        report.add(finding)
    report.finish()
    return report, raw.getvalue().decode(encoding)


def test_a_line_each_with_what_to_do_below():
    report, text = shown()
    assert text.splitlines() == [
        "höst, UDP port 22:", "  ✓ answers", r"  – SSH-2.0-\x1b[2J", "  ✗ too small",
        "      make it larger",
    ]  # fmt: skip
    assert not report.is_good


def test_a_terminal_that_has_no_such_signs():
    text = shown("ascii")[1]
    assert text.splitlines()[0] == r"h\xf6st, UDP port 22:"
    assert "  ok answers" in text
    assert "  XX too small" in text


@pytest.mark.parametrize(("findings", "good"), [(FINDINGS, False), (FINDINGS[:2], True)])
def test_json_is_one_object(findings, good):
    told = json.loads(shown("ascii", findings, as_json=True)[1])
    assert (told["host"], told["port"], told["good"]) == ("höst", 22, good)
    assert told["findings"][0] == {
        "name": "udp", "level": "pass", "text": "answers", "hint": "", "seconds": 0.5,
    }  # fmt: skip


def test_progress_is_written_over():
    progress = io.StringIO()
    report = Report("host", 22, io.StringIO(), progress=progress)
    report.waits("connecting")
    report.add(FINDINGS[0])
    assert progress.getvalue() == "\r\033[K  … connecting\r\033[K"
