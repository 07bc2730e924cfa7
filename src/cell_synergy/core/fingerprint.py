"""A hash of what a Python file does.

It is a hash of the tokens: comments, docstrings, blank lines and the text of error messages cannot
change a result, and do not change the hash.
"""

import ast
import hashlib
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from io import StringIO
from typing import TypeGuard

from cell_synergy.core.imports import Source

_Position = tuple[int, int]  # line and column
_LAYOUT = {"NEWLINE", "INDENT", "DEDENT"}  # tokens of which the text does not matter
_DROPPED = {"ENCODING", "COMMENT", "NL", "ENDMARKER"}


@cache
def fingerprint(source: Source) -> str:
    """Return a hash of a file's tokens, which is the same for every version of Python.

    Empty for a file without code. The text of an error message is every string in a `raise`
    statement, and in the arguments of a call that a function returns of something whose name ends
    in `Error`. Elsewhere such a call may be of a loss, like `MeanSquaredError("sum")`.
    """
    ignored = list(_ignored(source))
    tokens: list[str] = []
    for begin, end, text in _tokens(source.text):
        string = text.endswith(("'", '"'))
        if string and any(first <= begin and end <= last for first, last in ignored):
            continue
        if text == "NEWLINE" and (not tokens or tokens[-1] in _LAYOUT):  # of a docstring
            continue
        tokens.append(text)
    code = "\0".join(tokens)
    return "" if _LAYOUT.issuperset(tokens) else text_hash(code)


def text_hash(text: str) -> str:
    """Return the first half of a text's SHA-256, 128 bits: the store keeps 10,000 of them."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _tokens(text: str) -> Iterator[tuple[_Position, _Position, str]]:
    """Yield begin, end and text of each token that matters; an f-string is one in every version."""
    lines = StringIO(text).readlines()
    opened: list[_Position] = []
    for token in tokenize.generate_tokens(StringIO(text).readline):
        kind = tokenize.tok_name[token.type]
        if kind == "FSTRING_START":
            opened.append(token.start)
        elif kind == "FSTRING_END":
            begin = opened.pop()
            if not opened:
                yield begin, token.end, _between(lines, begin, token.end)
        elif not opened and kind not in _DROPPED:
            named = f"name {token.string}" if token.string in _LAYOUT else token.string
            yield token.start, token.end, kind if kind in _LAYOUT else named


def _between(lines: list[str], begin: _Position, end: _Position) -> str:
    """Return the text between two positions."""
    (first, start), (last, stop) = begin, end
    part = lines[first - 1 : last]
    part[-1] = part[-1][:stop]  # before the start is cut off, which may be on the same line
    part[0] = part[0][start:]
    return "".join(part)


def _ignored(source: Source) -> Iterator[tuple[_Position, _Position]]:
    """Yield begin and end of docstrings, other strings that do nothing, and error messages."""
    lines = StringIO(source.text).readlines()

    def position(line: int, column: int) -> _Position:  # the parser counts bytes
        return line, len(lines[line - 1].encode()[:column].decode())

    for node in ast.walk(source.tree):
        texts: Iterable[ast.expr] = ()
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            texts = _strings(node.value)
        elif isinstance(node, ast.Raise):
            texts = _strings(node)
        elif isinstance(node, ast.Return) and _is_error(call := node.value):
            texts = [text for part in [*call.args, *call.keywords] for text in _strings(part)]
        for text in texts:
            last, end = text.end_lineno or text.lineno, text.end_col_offset or 0
            yield position(text.lineno, text.col_offset), position(last, end)


def _is_error(node: ast.expr | None) -> TypeGuard[ast.Call]:
    """Return whether an expression is a call of something whose name ends in `Error`."""
    if not isinstance(node, ast.Call):
        return False
    return str(getattr(node.func, "attr", getattr(node.func, "id", ""))).endswith("Error")


def _strings(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the strings in a part of the code, those inside f-strings aside."""
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if isinstance(node, ast.expr) and (constant or isinstance(node, ast.JoinedStr)):
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from _strings(child)
