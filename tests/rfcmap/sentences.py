"""The normative sentences of an RFC: every one with MUST, MUST NOT, SHALL, SHOULD, SHOULD NOT or MAY, numbered within its section.

    /usr/bin/python3 tests/rfcmap/sentences.py 3261 16.3 16.4     # "3261-16.3-1", the keywords, the sentence
"""
import pathlib
import re
import sys

RFC_DIR = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "rfc"
KEYWORDS = re.compile(r"\b(MUST(?: NOT)?|SHALL(?: NOT)?|SHOULD(?: NOT)?|MAY|REQUIRED|RECOMMENDED|OPTIONAL)\b")
HEADING = re.compile(r"^(?:Appendix )?((?:[A-Z]|\d+)(?:\.\d+)*)\.?\s{1,3}\S")
CONTENTS = re.compile(r"\.{3,}|(?: \.){3,}|\s{3,}\d+$")
# A full stop ends a sentence when a capital, a quote or a bracket follows, and the word before is no abbreviation.
END = re.compile(r'(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\betc)(?<=[.?!])["\')]?\s+(?=["\'(\[]?[A-Z0-9])')


def join_page(lines, rest):
    """Appends the next page. A paragraph that was cut goes on: its last line does not end a sentence, nor is it a heading."""
    while lines and not lines[-1]:
        lines.pop()
    while rest and not rest[0]:
        rest.pop(0)
    last = lines[-1] if lines else "."
    if not re.search(r"[.:?!]\W*$", last) and not HEADING.match(last):
        return lines + rest
    return lines + [""] + rest


def body_lines(number):
    """The text without page breaks, headers and footers."""
    text = (RFC_DIR / f"rfc{number}.txt").read_text(encoding="utf-8-sig", errors="replace")
    lines = []
    for page in text.split("\f"):
        kept = [line.rstrip() for line in page.split("\n")
                if not re.match(r"^RFC \d+\s{2,}", line) and not re.search(r"\[Page \d+\]\s*$", line)]
        lines = join_page(lines, kept)
    return lines


def sections(number):
    """{"16.3": text}; the text of a section without that of its subsections. The table of contents is passed over."""
    found, name, seen = {}, None, {}
    for line in body_lines(number):
        match = HEADING.match(line)
        if match and not CONTENTS.search(line):
            name = match.group(1)
            seen[name] = seen.get(name, 0) + 1
            found[name] = [] if name not in found or seen[name] > 1 else found[name]
        elif name is not None:
            found[name].append(line)
    return {key: "\n".join(value) for key, value in found.items()}


def split_sentences(text):
    for paragraph in re.split(r"\n\s*\n", text):
        joined = re.sub(r"(?<=\w)-\n\s*(?=\w)", "-", paragraph)
        joined = re.sub(r"\s+", " ", joined).strip()
        if joined:
            yield from END.split(joined)


def normative(number, section):
    """[(id, keywords, sentence)] of one section."""
    text = sections(number).get(section, "")
    rows = []
    for sentence in split_sentences(text):
        keywords = KEYWORDS.findall(sentence)
        if keywords:
            rows.append((f"{number}-{section}-{len(rows) + 1}", keywords, sentence))
    return rows


def main(argv):
    if len(argv) < 2:
        print(__doc__.strip())
        return 64
    number = argv[1]
    for section in argv[2:] or sections(number):
        for identifier, keywords, sentence in normative(number, section):
            print(f"{identifier}\t{','.join(keywords)}\t{sentence}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
