"""Functions and methods in Python source: name, docstring, and the source without the docstring."""

import ast
import io
import re
import tokenize
import warnings
from collections.abc import Iterator
from dataclasses import dataclass

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
STRINGS = (ast.JoinedStr, getattr(ast, "TemplateStr", ast.JoinedStr))
"""f-strings, and the t-strings of Python 3.14."""


@dataclass(frozen=True, slots=True)
class Function:
    """``source`` has decorators and comments, no docstring, and no indentation that the whole of it shares."""

    qualname: str
    docstring: str
    source: str
    trivial: bool


def functions(content: bytes) -> Iterator[Function]:
    """Documented functions of modules and classes, in order; those inside functions are part of their function.

    Raises ``SyntaxError`` (``UnicodeDecodeError`` included in it) when the running Python cannot parse ``content``.
    """
    text = source_text(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = ast.parse(text)
    lines = text.split("\n")
    for qualname, node in _nodes(module, ""):
        docstring = ast.get_docstring(node)
        if docstring is not None:
            yield Function(qualname, docstring, _source(lines, node), _is_trivial(node.body[1:]))


def source_text(content: bytes) -> str:
    """Source as text, newlines as ``\\n``. Raises ``SyntaxError`` when it is not in the encoding that it declares."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return re.sub("\r\n?", "\n", content.decode(encoding))
    except UnicodeDecodeError as error:
        raise SyntaxError(str(error)) from error


def _nodes(parent: ast.AST, prefix: str) -> Iterator[tuple[str, FunctionNode]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, FunctionNode):
            yield prefix + node.name, node
        elif isinstance(node, ast.ClassDef):
            yield from _nodes(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.stmt | ast.ExceptHandler):
            yield from _nodes(node, prefix)


def _source(lines: list[str], node: FunctionNode) -> str:
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    own = dict(enumerate(lines[first - 1 : node.end_lineno], first))
    indent, inside = re.match(r"\s*", own[first])[0], _inside_strings(node)  # type: ignore[index]
    kept = _without(own, node.body[0])
    return "\n".join(line if number in inside else line.removeprefix(indent) for number, line in kept.items())


def _without(own: dict[int, str], docstring: ast.stmt) -> dict[int, str]:
    """The numbered lines without the docstring's characters, without ``;`` after it, without lines it leaves blank."""
    first, last, end = docstring.lineno, docstring.end_lineno, docstring.end_col_offset
    assert last is not None, "ast.parse sets it"
    assert end is not None, "ast.parse sets it"
    before = own[first].encode()[: docstring.col_offset].decode()
    after = re.sub(r"^\s*(;\s*)?", "", own[last].encode()[end:].decode())
    left = {first: before + after} if before.strip() or after else {}
    above = {number: line for number, line in own.items() if number < first}
    return above | left | {number: line for number, line in own.items() if number > last}


def _inside_strings(node: FunctionNode) -> set[int]:
    """Lines that begin inside a string, where leading blanks belong to its value."""
    return {
        number
        for inner in ast.walk(node)
        if isinstance(inner, STRINGS) or (isinstance(inner, ast.Constant) and isinstance(inner.value, str | bytes))
        for number in range(inner.lineno + 1, (inner.end_lineno or inner.lineno) + 1)
    }


def _is_trivial(body: list[ast.stmt]) -> bool:
    """Nothing but ``pass``, ``...``, a ``raise``, or the return of a constant or a name."""
    return all(
        isinstance(statement, ast.Pass | ast.Raise)
        or (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
        or (isinstance(statement, ast.Return) and isinstance(statement.value, ast.Constant | ast.Name | None))
        for statement in body
    )
