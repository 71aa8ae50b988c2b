"""The mutations fit the code as it is: a block that no longer applies vouches for nothing."""

import mutate


def test_every_mutation_applies():
    wrong = []
    for source in mutate.FILES:
        for block in mutate.parse(source):
            for hunk in block.hunks:
                if mutate.apply((mutate.ROOT / hunk.file).read_text(), hunk) is None:
                    wrong.append(f"{block.name()}: {hunk.file}: the lines to replace do not stand there exactly once")
    assert not wrong, "\n".join(wrong)


def test_every_mutation_names_rows_and_tests():
    wrong = [block.name() for source in mutate.FILES for block in mutate.parse(source) if not (block.ids and block.tests)]
    assert not wrong, "\n".join(wrong)
