"""docs/rfc-map.md keeps its word: every normative sentence has a row, every row names a function and a test that exist.

A row is   | id | what it asks | function | test | verdict |   with
  id        RFC-section-number, as tests/rfcmap/sentences.py numbers the sentences
  function  names of functions defined in src/, separated by commas; or - when the verdict is n/a
  test      scenario:PATH (below tests/scenario), unit:LAYER/FILE:FUNCTION, torture:NAME, matrix:NAME, e2e:FILE:FUNCTION; commas
  verdict   done, option (with the key), n/a (with the reason), open (with what is missing)
"""
import pathlib
import re

import pytest

import sentences

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAP = ROOT / "docs" / "rfc-map.md"
ROW = re.compile(r"^\|\s*(\d{4}-[\w.]+-\d+)\s*\|(.+)\|\s*$")

# Sections whose MUST, MUST NOT, SHOULD and SHOULD NOT must all have a row. "16" means 16 and all below it.
COVERED = {
    3261: ["8.1", "8.2", "9", "10", "11.1", "12.1.1", "16", "17", "18", "19.1", "20", "21.5.4", "22", "26.2", "26.3"],
    3263: ["4", "5", "7"],
    3581: ["3", "4"],
    3327: ["4", "5"],
    4320: ["4"],
    5393: ["4", "5"],
    5630: ["5.2", "5.3"],
    5658: ["4", "5", "6"],
    5922: ["7"],
    5923: ["8", "9"],
    6026: ["7", "8"],
    8760: ["2"],
    7616: ["3"],
    3325: ["4", "5", "6", "7", "9.1", "9.2"],
    3326: ["2"],
    7118: ["4", "5", "7"],
    6455: ["4.2", "4.4", "5", "6", "7.1.1", "7.1.2", "7.1.7", "7.2.2", "7.4.1", "8.1", "10"],
    3608: ["6"],
    5626: ["5", "6", "7", "8", "11.6"],
    5627: ["5", "6"],
    7339: ["4", "5", "7"],
}


def rows():
    found = []
    for line in MAP.read_text(encoding="utf-8").splitlines():
        match = ROW.match(line)
        if match:
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", match.group(2))]
            found.append((match.group(1), cells))
    return found


def names(cell):
    return [name.strip(" `") for name in cell.split(",") if name.strip(" `-")]


def test_every_row_is_whole():
    wrong = []
    for identifier, cells in rows():
        if len(cells) != 4:
            wrong.append(f"{identifier}: {len(cells) + 1} columns instead of 5")
            continue
        _, functions, tests, verdict = cells
        if not re.match(r"(done|option: \S.*|n/a: \S.*|open: \S.*)$", verdict):
            wrong.append(f"{identifier}: verdict {verdict!r}")
        if verdict == "done" and not (names(functions) and names(tests)):
            wrong.append(f"{identifier}: done without a function and a test")
    assert not wrong, "\n".join(wrong)


def test_no_row_twice():
    seen = [identifier for identifier, _ in rows()]
    assert len(seen) == len(set(seen)), sorted({i for i in seen if seen.count(i) > 1})


def test_functions_exist():
    source = "\n".join(path.read_text() for path in sorted(ROOT.glob("src/*/*.c")))
    defined = set(re.findall(r"^(?:[\w*]+[ \t*]+)+\**(\w+)\([^;]*?\)\s*\n?\{", source, re.M))
    missing = sorted({f"{i}: {n}" for i, cells in rows() for n in names(cells[1]) if n not in defined})
    assert not missing, "no such function:\n" + "\n".join(missing)


def test_exists(kind, name):
    """Is there such a test?"""
    if kind == "scenario":
        return (ROOT / "tests" / "scenario" / name).exists()
    if kind in ("unit", "e2e", "matrix", "torture"):
        where, _, function = name.partition(":")
        base = {"unit": "tests/unit", "e2e": "tests/e2e", "matrix": "tests/matrix", "torture": "tests/torture"}[kind]
        path = ROOT / base / where
        return path.is_file() and (not function or re.search(rf"\b{re.escape(function)}\b", path.read_text()) is not None)
    return False


test_exists.__test__ = False


def test_tests_exist():
    missing = []
    for identifier, cells in rows():
        for name in names(cells[2]):
            kind, _, rest = name.partition(":")
            if not test_exists(kind, rest):
                missing.append(f"{identifier}: {name}")
    assert not missing, "no such test:\n" + "\n".join(missing)


@pytest.mark.parametrize("number", sorted(COVERED))
def test_every_sentence_has_a_row(number):
    if not (sentences.RFC_DIR / f"rfc{number}.txt").exists():
        pytest.skip("the RFC texts are not here (../shared/rfc): only rows that exist are checked")
    have = {identifier for identifier, _ in rows()}
    missing = []
    for section in sentences.sections(number):
        if not any(section == top or section.startswith(top + ".") for top in COVERED[number]):
            continue
        for identifier, keywords, sentence in sentences.normative(number, section):
            if any(k != "MAY" and k != "OPTIONAL" for k in keywords) and identifier not in have:
                missing.append(f"{identifier}: {sentence[:100]}")
    assert not missing, f"{len(missing)} sentences without a row:\n" + "\n".join(missing)
