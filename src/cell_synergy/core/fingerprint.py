"""Hash of the tokens of a Python file, without those that cannot change a result.

Left out are comments, docstrings, blank lines and the text of error messages.
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
_LAYOUT = {"NEWLINE", "INDENT", "DEDENT"}  # tokens hashed by their type, not by their text
_DROPPED = {"ENCODING", "COMMENT", "NL", "ENDMARKER"}


@cache
def fingerprint(source: Source) -> str:
    """Return a hash of a file's tokens (32 hexadecimal digits); "" for a file without code.

    It is equal in every version of Python, and for texts that differ only in comments, docstrings,
    blank lines and error messages.

    Strings are error messages in a `raise` statement, and in the arguments of a call that is
    returned and whose function has a name that ends in `Error`. A call of such a name elsewhere
    may create a loss, like `MeanSquaredError("sum")`, and its strings are hashed.
    """
    ignored = list(_ignored(source))
    tokens: list[str] = []
    for begin, end, text in _tokens(source.text):
        string = text.endswith(("'", '"'))
        if string and any(first <= begin and end <= last for first, last in ignored):
            continue
        if text == "NEWLINE" and (not tokens or tokens[-1] in _LAYOUT):  # the end of a docstring
            continue
        tokens.append(text)
    code = "\0".join(tokens)
    return "" if _LAYOUT.issuperset(tokens) else text_hash(code)


def text_hash(text: str) -> str:
    """Return the first 128 bits of a text's SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _tokens(text: str) -> Iterator[tuple[_Position, _Position, str]]:
    """Yield begin, end and text of each hashed token; an f-string is one token."""
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
    part[-1] = part[-1][:stop]  # the end first: both may be on one line
    part[0] = part[0][start:]
    return "".join(part)


def _ignored(source: Source) -> Iterator[tuple[_Position, _Position]]:
    """Yield begin and end of docstrings, of other strings without effect, and of error messages."""
    lines = StringIO(source.text).readlines()

    def position(line: int, column: int) -> _Position:  # `ast` counts bytes
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
    """Return whether an expression is a call of a function or class whose name ends in `Error`."""
    if not isinstance(node, ast.Call):
        return False
    return str(getattr(node.func, "attr", getattr(node.func, "id", ""))).endswith("Error")


def _strings(node: ast.AST) -> Iterator[ast.expr]:
    """Yield the string expressions below a node; an f-string is one, without its parts."""
    constant = isinstance(node, ast.Constant) and isinstance(node.value, str)
    if isinstance(node, ast.expr) and (constant or isinstance(node, ast.JoinedStr)):
        yield node
    else:
        for child in ast.iter_child_nodes(node):
            yield from _strings(child)
