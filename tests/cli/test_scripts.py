"""script/test's way of counting, and the lists that the scripts read."""

import os
import re
import subprocess
import sys

import pytest

from conftest import ROOT

CTEST = """<?xml version="1.0"?>
<testsuite>
 <testcase name="unit.a" time="0.5" status="run"><system-out>[==========] 3 test(s) run.
[  PASSED  ] 3 test(s).
</system-out></testcase>
 <testcase name="unit.b" time="0.5" status="fail"><failure message=""/><system-out>[  PASSED  ] 2 test(s).
[  FAILED  ] 1 test(s), listed below:
[  FAILED  ] some_test
 1 FAILED TEST(S)
</system-out></testcase>
 <testcase name="unit.leaks" time="0.5" status="fail"><failure message=""/><system-out>[  PASSED  ] 4 test(s).
ERROR: LeakSanitizer
</system-out></testcase>
 <testcase name="scenario.a" time="0.5" status="run"><system-out>7 scenarios passed, 0 failed
</system-out></testcase>
 <testcase name="scenario.b" time="0.5" status="fail"><failure message=""/><system-out>5 scenarios passed, 2 failed
</system-out></testcase>
 <testcase name="crashed" time="0.5" status="fail"><failure message=""/><system-out></system-out></testcase>
 <testcase name="plain" time="0.5" status="run"><system-out>fine</system-out></testcase>
 <testcase name="absent" time="0" status="notrun"><skipped/><system-out></system-out></testcase>
</testsuite>
"""
PYTEST = """<?xml version="1.0"?>
<testsuites><testsuite>
 <testcase name="a" time="1"/>
 <testcase name="b" time="1"><failure message="">x</failure></testcase>
 <testcase name="c" time="1"><error message="">x</error></testcase>
 <testcase name="d" time="1"><skipped message="x"/></testcase>
</testsuite></testsuites>
"""


def summary(folder):
    return subprocess.run([sys.executable, ROOT / "script" / "summary.py", folder], capture_output=True, text=True, timeout=60)


def test_the_last_line_sums_up_tests_within_programs(tmp_path):
    (tmp_path / "unit.xml").write_text(CTEST)
    (tmp_path / "e2e.xml").write_text(PYTEST)
    (tmp_path / "steps").write_text("format\tpassed\t1\nbuild\tfailed\t2\n")
    result = summary(tmp_path)
    #         3 + 2 + 4 + 7 + 5 + plain + a     b + leaks + 2 + crashed + b + c + build    absent + d
    assert result.stdout.splitlines()[-1] == "23 passed, 8 failed, 2 skipped"
    assert result.returncode == 1


def test_all_passed(tmp_path):
    (tmp_path / "e2e.xml").write_text('<testsuite><testcase name="a" time="1"/></testsuite>')
    result = summary(tmp_path)
    assert result.stdout.splitlines()[-1] == "1 passed, 0 failed"
    assert result.returncode == 0


def test_nothing_at_all_is_no_success(tmp_path):
    result = summary(tmp_path)
    assert result.stdout.splitlines()[-1] == "0 passed, 0 failed"
    assert result.returncode == 1


def packages():
    lines = (ROOT / "script" / "packages").read_text().splitlines()
    return [line.split() for line in lines if line and not line.startswith("#")]


def test_every_package_has_a_group_and_a_reason():
    reasons = (ROOT / "docs" / "DEPENDENCIES.md").read_text()
    for group, package in packages():
        assert group in ("build", "test", "npm")
        assert re.search(rf"`{re.escape(package)}`", reasons), f"docs/DEPENDENCIES.md does not say why {package} is needed"


@pytest.mark.parametrize("script", ("server", "test", "docs"))
def test_scripts_are_executable_and_parse(script):
    path = ROOT / "script" / script
    assert path.stat().st_mode & 0o111
    shell = path.read_text().splitlines()[0].split()[-1].split("/")[-1]
    subprocess.run([shell, "-n", path], check=True, timeout=60)


def test_an_unknown_ring_is_a_usage_error():
    result = subprocess.run([ROOT / "script" / "test", "everything"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 64
    assert "scenario" in result.stderr


def train(tmp_path):
    """A training whose source is not there."""
    return subprocess.run(["cmake", f"-DSOURCE={tmp_path}/none", f"-DFOLDER={tmp_path}", f"-DOUTCOME={tmp_path}/outcome",
                           "-DGENERATOR=Ninja", "-P", ROOT / "cmake" / "train.cmake"],
                          capture_output=True, text=True, timeout=60)


def test_a_training_that_fails_leaves_no_profile_and_says_so_but_does_not_fail_the_build(tmp_path):
    outcome = tmp_path / "outcome"
    (tmp_path / "data").mkdir()
    outcome.write_text("trained\n")
    result = train(tmp_path)
    assert result.returncode == 0
    assert "WITHOUT A PROFILE" in result.stderr and "none" in result.stderr
    assert not (tmp_path / "data").exists() and outcome.read_text() == "untrained\n"


def test_a_training_that_fails_again_compiles_nothing_again(tmp_path):
    outcome = tmp_path / "outcome"
    outcome.write_text("untrained\n")
    os.utime(outcome, (1, 1))
    assert train(tmp_path).returncode == 0
    assert outcome.stat().st_mtime == 1


def test_what_is_compiled_with_a_profile_depends_on_whether_there_is_one(tmp_path):
    subprocess.run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", tmp_path, "-DCMAKE_C_COMPILER=gcc", "-DVIADUCT_TESTS=OFF",
                    "-DVIADUCT_PROFILE=guided"], check=True, capture_output=True, timeout=120)
    objects = re.findall(r"^build CMakeFiles/\S+\.c\.o: .*\n(?: .*\n)*", (tmp_path / "build.ninja").read_text(), re.M)
    guided = [o for o in objects if "-fprofile-use" in o]
    assert guided and all("profile/outcome" in o.split("\n")[0] for o in guided)
