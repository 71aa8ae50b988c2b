"""No kind of message takes more instructions than is recorded; and the comparison that says so can fail."""

import importlib.machinery
import importlib.util
import os
import pathlib

import pytest

HERE = pathlib.Path(__file__).resolve().parent
BUILD = pathlib.Path(os.environ.get("VIADUCT", HERE.parent.parent / "build/instructions/viaduct")).parent

TINY = 5000  # instructions; of fewer a twentieth is less than the slack allows

loader = importlib.machinery.SourceFileLoader("count", str(HERE / "count"))
count = importlib.util.module_from_spec(importlib.util.spec_from_loader("count", loader))
loader.exec_module(count)


def rows_times(factor):
    return {name: {**row, "whole": round(row["whole"] * factor)} for name, row in count.read_record().items()}


def test_no_kind_of_message_takes_more_than_recorded():
    assert not count.compare(count.count(count.run(BUILD / "tests/instructions/instructions")), count.read_record())


def test_a_rise_of_a_twentieth_is_wrong_for_every_kind_that_is_not_tiny():
    wrong = count.compare(rows_times(1.05), count.read_record())
    assert len(wrong) == sum(row["whole"] > TINY for row in count.read_record().values()) > 15


def test_a_rise_of_a_quarter_is_wrong_for_every_kind():
    assert len(count.compare(rows_times(1.25), count.read_record())) == len(count.read_record())


@pytest.mark.parametrize("factor", [0.8, 1, 1.02])
def test_a_fall_or_a_little_more_is_not_wrong(factor):
    assert not count.compare(rows_times(factor), count.read_record())


def test_a_kind_that_is_no_longer_counted_or_not_yet_recorded_is_wrong():
    rows = rows_times(1)
    rows["NEW"] = rows.pop("INVITE")
    assert len(count.compare(rows, count.read_record())) == 2


def test_the_parts_of_a_profile_are_its_whole_and_helpers_are_counted_with_who_calls_them():
    profile, = count.read_profiles(
        "part: 1\ndesc: Trigger: Client Request: X\n"
        "fl=(1) /p/src/sip/parse.c\nfn=(1) parse\n0 10\ncfi=(3) /p/src/base/slice.c\ncfn=(3) find\ncalls=1 0\n0 30\n\n"
        "fl=(2) /p/src/txn/match.c\nfn=(2) match\n0 5\ncfi=(3)\ncfn=(3)\ncalls=1 0\n0 10\n\n"
        "fl=(4) /p/tests/x.c\nfn=(4) main\n0 99\ncfi=(1)\ncfn=(1)\ncalls=1 0\n0 40\n\n"
        "fl=(3)\nfn=(3)\n0 40\n"
    )
    assert profile.name == "X"
    assert profile.parts() == {"parse": 40, "match": 15, "tests": 99}
    assert profile.functions() == {"sip/parse.c parse": 10, "txn/match.c match": 5, "base/slice.c find": 40, "tests/x.c main": 0}
