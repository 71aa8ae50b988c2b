#!/usr/bin/python3
"""Breaks the proxy on purpose, one small change at a time, and sees that the test which vouches for the rule fails.

    tests/rfcmap/mutate.py                       every block of mutations*.txt
    tests/rfcmap/mutate.py 3261-16.3 5393        only blocks that vouch for ids beginning with these
    tests/rfcmap/mutate.py --file src/proxy/best.c --list

The sources are copied into a directory of their own (--dir) and changed there, never in place; it is kept, so that the next run
builds little. Format: see the head of mutations.txt. Ends with 1 when a mutation survived, did not apply or did not build.
"""
import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
FILES = sorted(pathlib.Path(__file__).parent.glob("mutations*.txt"))
TIMEOUT_S = 60
E2E_TIMEOUT_S = 300


class Hunk:
    def __init__(self, file):
        self.file, self.old, self.new = file, [], []


class Block:
    def __init__(self, place):
        self.place, self.ids, self.hunks, self.tests = place, [], [], []

    def name(self):
        return f"{self.place}: {' '.join(self.ids)}"


def parse(source):
    blocks, block, file = [], None, None
    for number, line in enumerate(source.read_text().splitlines() + [""], 1):
        if line.startswith("#"):
            continue
        if not line.strip():
            block = None
            continue
        if block is None:
            block, file = Block(f"{source.name}:{number}"), None
            blocks.append(block)
        key, _, value = line.partition(":")
        if line == "-" or line.startswith("- "):
            if not block.hunks or block.hunks[-1].new or block.hunks[-1].file != file:
                block.hunks.append(Hunk(file))
            block.hunks[-1].old.append(line[2:])
        elif line == "+" or line.startswith("+ "):
            block.hunks[-1].new.append(line[2:])
        elif key == "ids":
            block.ids += value.split()
        elif key == "file":
            file = value.strip()
        elif key == "test":
            block.tests.append(value.strip())
        else:
            raise SystemExit(f"{source.name}:{number}: not understood: {line}")
    for block in blocks:
        if not (block.ids and block.hunks and block.tests):
            raise SystemExit(f"{block.place}: ids, a change and a test are needed")
    return blocks


def apply(text, hunk):
    """The text with the lines of the hunk replaced, or None when they are not there exactly once. Indentation does not count."""
    lines, old = text.split("\n"), [line.strip() for line in hunk.old]
    at = [i for i in range(len(lines)) if [line.strip() for line in lines[i:i + len(old)]] == old]
    if len(at) != 1:
        return None
    return "\n".join(lines[:at[0]] + hunk.new + lines[at[0] + len(old):])


class Copy:
    """The tree that is changed."""

    def __init__(self, where):
        self.root, self.build = where / "tree", where / "build"

    def sync(self):
        names = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard", "CMakeLists.txt", "CMakePresets.json", "cmake",
                                "src", "tests", "bench"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        names = {name for name in names if name and (ROOT / name).is_file()}
        for name in names:
            new, path = (ROOT / name).read_bytes(), self.root / name
            if not path.exists() or path.read_bytes() != new:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(new)
        for path in list(self.root.rglob("*")):
            if path.is_file() and str(path.relative_to(self.root)) not in names:
                path.unlink()
        if not (self.build / "build.ninja").exists():
            subprocess.run(["cmake", "--preset", "dev", "-B", str(self.build)], cwd=self.root, check=True, stdout=subprocess.DEVNULL)

    def make(self, targets):
        made = subprocess.run(["cmake", "--build", str(self.build), "-j2", "--target", *sorted(targets)], capture_output=True, text=True)
        return made.returncode == 0, made.stdout[-3000:]


def target_of(test):
    kind, _, rest = test.partition(":")
    file = pathlib.PurePath(rest.partition(":")[0])
    if kind == "scenario":
        return "scenario"
    if kind == "unit":
        return f"{file.parent.name}_{file.stem}"
    if kind == "matrix":
        return f"matrix_{file.stem.removeprefix('test_')}"
    if kind == "e2e":
        return "viaduct"
    raise SystemExit(f"no way to run {test}")


def e2e_fails(copy, file, function):
    """As the others; a test that is skipped here, or is not there, proves nothing."""
    place = f"{copy.root / 'tests' / 'e2e' / file}{'::' + function if function else ''}"
    run = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", place], capture_output=True, text=True,
                         errors="replace", timeout=E2E_TIMEOUT_S, cwd=copy.root, env={**os.environ, "VIADUCT": str(copy.build / "viaduct")})
    if run.returncode not in (0, 1) or "skipped" in run.stdout.splitlines()[-1]:
        raise SystemExit(f"{place} cannot be run:\n{run.stdout[-2000:]}")
    return run.returncode == 1


def fails(copy, test):
    """Does this test fail?"""
    kind, _, rest = test.partition(":")
    file, _, function = rest.partition(":")
    if kind == "e2e":
        return e2e_fails(copy, file, function)
    places = {"scenario": "tests/scenario/scenario", "unit": f"tests/{target_of(test)}", "matrix": f"tests/matrix/{target_of(test)}"}
    command = [str(copy.build / places[kind])]
    if kind == "scenario":
        command.append(str(copy.root / "tests" / "scenario" / file))
    try:
        run = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, cwd=copy.root)
    except subprocess.TimeoutExpired:
        return True
    if run.returncode == 0 or not function:
        return run.returncode != 0
    output = run.stdout + run.stderr
    begun = re.findall(r"\[ RUN +\] (\w+)", output)
    # A crash ends the run in the test that was under way; ERROR is a failure of its tear-down.
    return re.search(rf"\[ +(?:FAILED|ERROR) +\] {function}\b", output) is not None or (run.returncode < 0 and begun[-1:] == [function])


def mutate(copy, block):
    """What became of it, and a few words."""
    originals = {}
    try:
        for hunk in block.hunks:
            path = copy.root / hunk.file
            text = path.read_text()
            originals.setdefault(path, text)
            changed = apply(text, hunk)
            if changed is None:
                return "did not apply", f"{hunk.file}: {hunk.old[0].strip()}"
            path.write_text(changed)
        built, output = copy.make({target_of(test) for test in block.tests})
        if not built:
            return "did not build", output
        survivors = [test for test in block.tests if not fails(copy, test)]
        return ("survived", ", ".join(survivors)) if survivors else ("killed", "")
    finally:
        for path, text in originals.items():
            path.write_text(text)


def chosen(block, options):
    if options.file and all(hunk.file != options.file for hunk in block.hunks):
        return False
    return not options.ids or any(i == p or i.startswith((p + "-", p + ".")) for i in block.ids for p in options.ids)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ids", nargs="*", help="ids of rows, or their beginnings: 3261-16.3, 5393")
    parser.add_argument("--file", help="only blocks that change this file")
    parser.add_argument("--dir", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "viaduct-mutate")
    parser.add_argument("--list", action="store_true", help="name the blocks and do nothing")
    options = parser.parse_args()
    blocks = [block for source in FILES for block in parse(source) if chosen(block, options)]
    if options.list:
        print("\n".join(block.name() for block in blocks))
        return 0
    copy = Copy(options.dir)
    copy.sync()
    tests = sorted({test for block in blocks for test in block.tests})
    built, output = copy.make({target_of(test) for test in tests})
    if not built:
        print(output)
        return 1
    broken = [test for test in tests if fails(copy, test)]
    for test in broken:
        print(f"FAILS WITHOUT ANY CHANGE  {test}")
    counts = {}
    for block in blocks:
        start = time.monotonic()
        verdict, words = mutate(copy, block)
        counts[verdict] = counts.get(verdict, 0) + 1
        print(f"{verdict:14} {time.monotonic() - start:5.1f}s  {block.name()}{'  ' + words if words else ''}", flush=True)
    copy.make({"scenario"})
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())) or "nothing to do")
    return 1 if broken or set(counts) - {"killed"} else 0


if __name__ == "__main__":
    sys.exit(main())
