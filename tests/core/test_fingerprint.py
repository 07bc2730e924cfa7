"""The hash of a file's code: which spellings share one."""

import pytest

from cell_synergy.core.code import SourceTree
from cell_synergy.core.fingerprint import fingerprint


@pytest.fixture
def of(tmp_path):
    """Return a function that hashes a text."""

    def hashed(text):
        path = tmp_path / f"{abs(hash(text))}.py"
        path.write_text(text)
        return fingerprint(SourceTree(tmp_path, tmp_path / "stages").source(path))

    return hashed


SPELLINGS = [
    ("x = f'{a}' 'b'", "x = f'{a}'   'b'  # c", True),
    ("x = f'{a!r:>{w}} {{}} {b[\"k\"]}'", "x = f'{a!r:>{w}} {{}} {b[\"l\"]}'", False),
    ("x = f'''{\na}\n'''", "x = f'''{\n a}\n'''", False),
    ("raise KeyError", "raise  KeyError", True),
    ("raise E(f'{a} é') from b", "raise E('''\nc''') from b", True),
    ("é = E('é', f(x='é')), 'é'", "é = E('é', f(x='é')), 'e'", False),
    ("def f():\n return l.AnError('a', x='b')", "def f():\n return l.AnError('c', x='d')", True),
    ("def f():\n return SomeErrors('a')", "def f():\n return SomeErrors('b')", False),
    ("loss = MeanSquaredError('sum')", "loss = MeanSquaredError('mean')", False),
    ("NEWLINE - f()", "-f()", False),
    ("raise E('a', 1)", "raise E('a', 2)", False),
    ("if a:\n  b\nc", "if a:\n    b\nc", True),
    ("if a:\n  b\nc", "if a:\n  b\n  c", False),
    ("x = 'doc'", "x = 'dog'", False),
    ("def f():\n  'doc'\n  'more'\n  1", "def f():\n  1", True),
    ("x = [\n  1,\n\n  2]", "x = [1, 2]", True),
    ("x = 'a\\\nb'", "x = 'ab'", False),
]


@pytest.mark.parametrize(("one", "other", "same"), SPELLINGS)
def test_two_spellings_have_one_hash_if_they_differ_in_nothing_that_runs(of, one, other, same):
    assert (of(one) == of(other)) == same


@pytest.mark.parametrize("text", ["", "# c\n", '"""d"""\n', '"""d"""\n\n# c\n"e"\n'])
def test_a_file_without_code_has_no_hash(of, text):
    assert not of(text)


def test_the_hashes_are_those_that_every_version_of_python_gives(of):
    known = "11e9b019fd6c24179b428738b5784f71"
    text = "".join(f"{one}\n" for one, *_ in SPELLINGS)
    assert of(text) == known
