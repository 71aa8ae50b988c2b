"""Sums up a run of script/test: summary.py FOLDER, where each ring left a JUnit file and each step a line.

ctest counts programs; a program of cmocka or of the scenario ring holds many tests, and says how many in its output.
Those are counted.
The last line is "N passed, N failed[, N skipped]"; the status is 0 when something passed and nothing failed.
"""

import pathlib
import re
import sys
import xml.etree.ElementTree

WITHIN = {
    "passed": re.compile(r"^(?:\[  PASSED  \] (\d+) test\(s\)|(\d+) scenarios passed)", re.MULTILINE),
    "failed": re.compile(r"^(?:\[  FAILED  \] (\d+) test\(s\)|\d+ scenarios passed, (\d+) failed)", re.MULTILINE),
    "skipped": re.compile(r"^\[  SKIPPED \] (\d+) test\(s\)()", re.MULTILINE),
}


class Count:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.seconds = 0.0

    def add(self, verdict, number=1):
        setattr(self, verdict, getattr(self, verdict) + number)


def verdict_of(case):
    if case.get("status") == "fail" or case.find("failure") is not None or case.find("error") is not None:
        return "failed"
    skipped = case.find("skipped") is not None or case.get("status") in ("notrun", "disabled")
    return "skipped" if skipped else "passed"


def add_case(count, case):
    """One test of pytest or one program of ctest."""
    verdict = verdict_of(case)
    output = case.findtext("system-out") or ""
    inner = {name: sum(int(a or b) for a, b in pattern.findall(output)) for name, pattern in WITHIN.items()}
    if verdict == "failed" and inner["failed"] == 0:
        inner["failed"] = 1  # it crashed, or its leaks were found at the end
    if not any(inner.values()):
        inner[verdict] = 1
    for name, number in inner.items():
        count.add(name, number)
    count.seconds += float(case.get("time") or 0)


def read_junit(path):
    count = Count()
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        add_case(count, case)
    return count


def read_steps(path):
    """Steps that passed are the means, not tests; a step that failed is a failure."""
    count = Count()
    for line in path.read_text().splitlines():
        _, verdict, seconds = line.split("\t")
        count.seconds += float(seconds)
        if verdict == "failed":
            count.add("failed")
    return count


def main(folder):
    rings = {}
    for path in sorted(folder.glob("*.xml"), key=lambda p: p.stat().st_mtime):
        rings[path.stem] = read_junit(path)
    if (folder / "steps").exists():
        rings["packages, format, builds"] = read_steps(folder / "steps")
    print(f"\n{'ring':26} {'passed':>8} {'failed':>8} {'skipped':>8} {'seconds':>8}")
    for name, count in rings.items():
        print(f"{name:26} {count.passed:8} {count.failed:8} {count.skipped:8} {count.seconds:8.1f}")
    passed, failed, skipped = (sum(getattr(c, what) for c in rings.values()) for what in ("passed", "failed", "skipped"))
    print(f"\n{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 0 if passed > 0 and failed == 0 else 1


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
