"""Functions out of source: the docstring is gone, everything else stays."""

import ast

import pytest

from retkd.collections.python_functions import functions, source_text


def one(source: str):
    (function,) = functions(source.encode())
    return function


def test_the_docstring_goes_and_comments_stay():
    function = one(
        "class A:\n"
        "    @property\n"
        "    def size(self):  # in bytes\n"
        '        """Return the size.\n'
        "\n"
        "        Never negative.\n"
        '        """  # a note\n'
        "        # count\n"
        "        return len(self.data)\n"
    )
    assert function.qualname == "A.size"
    assert function.docstring == "Return the size.\n\nNever negative."
    assert function.source == (
        "@property\ndef size(self):  # in bytes\n    # a note\n    # count\n    return len(self.data)"
    )


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ('def f(): "doc"; return g()', "def f(): return g()"),
        ('def f():\n    "doc" ; x = 1\n    return x', "def f():\n    x = 1\n    return x"),
        ('def f():\n    ("one"\n     "two")\n    return g()', "def f():\n    return g()"),
        ('def f():\n    "é" "ü"; return "ß"', 'def f():\n    return "ß"'),
        ('def f():\n    r"""doc"""\n    return g()', "def f():\n    return g()"),
        ('async def f():\n    "doc"\n    await g()', "async def f():\n    await g()"),
    ],
)
def test_docstrings_in_odd_places(source, left):
    assert one(source).source == left


def test_lines_inside_strings_keep_their_blanks():
    function = one('class A:\n    def f(self):\n        "doc"\n        return """a\n        b\n   c"""\n')
    assert function.source == 'def f(self):\n    return """a\n        b\n   c"""'
    assert ast.literal_eval(ast.parse(function.source).body[0].body[0].value) == "a\n        b\n   c"


def test_names_tell_classes_and_functions_inside_functions_are_part_of_them():
    source = (
        "if True:\n    def a():\n        'doc'\n        def inner():\n            'inner'\n        return inner()\n"
        "try:\n    pass\nexcept E:\n    class B:\n        class C:\n"
        "            def d(self):\n                'doc'\n                x()\n"
        "def undocumented(): return 1\n"
    )
    assert [f.qualname for f in functions(source.encode())] == ["a", "B.C.d"]


@pytest.mark.parametrize(
    ("body", "trivial"),
    [
        ("pass", True),
        ("...", True),
        ("raise NotImplementedError", True),
        ("return None", True),
        ("return", True),
        ("return x", True),
        ("return self.x", False),
        ("return x + 1", False),
        ("x = 1; return x", False),
    ],
)
def test_trivial_bodies(body, trivial):
    assert one(f"def f(self, x):\n    'doc'\n    {body}\n").trivial is trivial


def test_encodings_and_line_ends():
    assert (
        source_text("# -*- coding: latin-1 -*-\r\nx = 'é'\r".encode("latin-1"))
        == "# -*- coding: latin-1 -*-\nx = 'é'\n"
    )
    with pytest.raises(SyntaxError):
        list(functions(b"x = '\xff'"))
    with pytest.raises(SyntaxError):
        list(functions(b"print 'two'"))
