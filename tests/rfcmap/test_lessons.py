"""docs/lessons.md keeps its word: every lesson has a row, every row names tests that exist, or says why none is needed.

A row is   | id | what must not go wrong | test |   where test is as in docs/rfc-map.md, a scenario with the beginning of its title; or n/a: reason
"""
import re

import pytest

import test_rfc_map

PAGE = test_rfc_map.ROOT / "docs" / "lessons.md"
LIST = test_rfc_map.ROOT.parent / "shared" / "LESSONS.md"
ROW = re.compile(r"^\| ([LA](?:\d+|P)) \| ([^|]+) \| ([^|]+) \|$", re.M)


def rows():
    return ROW.findall(PAGE.read_text(encoding="utf-8"))


def is_there(name):
    kind, _, rest = name.partition(":")
    if kind != "scenario":
        return test_rfc_map.test_exists(kind, rest)
    file, _, title = rest.partition(":")
    path = test_rfc_map.ROOT / "tests" / "scenario" / file
    return title != "" and path.is_file() and re.search(rf'^scenario ".*\b{re.escape(title)}', path.read_text(), re.M) is not None


def test_every_lesson_is_there_once():
    identifiers = [identifier for identifier, _, _ in rows()]
    assert len(identifiers) == len(set(identifiers))
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    assert len(table) == len(identifiers) + 1, "a row that is not understood"


def test_every_lesson_of_the_list_has_a_row():
    if not LIST.exists():
        pytest.skip("the list of lessons is not here (../shared): only rows that exist are checked")
    first, second = re.split(r"^## 2\. .*$", LIST.read_text(encoding="utf-8"), flags=re.M)
    wanted = {f"L{n}" for n in re.findall(r"^(\d+)\. ", first, re.M)} | {f"A{n}" for n in re.findall(r"^\| (\d+) \|", second, re.M)}
    missing = wanted - {identifier for identifier, _, _ in rows()}
    assert len(wanted) > 80 and not missing, sorted(missing)


def test_named_tests_exist():
    missing = [f"{identifier}: {name}" for identifier, _, tests in rows() if not tests.startswith("n/a: ")
               for name in re.split(r",\s*", tests) if not is_there(name)]
    assert not missing, "no such test:\n" + "\n".join(missing)
