"""Examples out of trees of sources: what is taken, what is counted, and what both bodies say."""

from __future__ import annotations

import ast
import platform
import shutil
from pathlib import Path

import pytest
from tests.identifier_swaps.conftest import TEXT, write

from tracebank_models.identifier_swaps.dataset import STEPS, SwapDataset, examples_of
from tracebank_models.identifier_swaps.examples import SwapExample, is_python, swapped_texts
from tracebank_models.identifier_swaps.selection import SwapSelection
from tracebank_models.identifier_swaps.source_functions import PythonSources
from tracebank_models.identifier_swaps.used_names import called_names, unclean_names

_STRICT = SwapSelection()


def _counts(found: SwapDataset) -> dict[str, int]:
    return dict(found.counts.select("step", "count").iter_rows())


def _function(text: str) -> ast.FunctionDef:
    (found,) = ast.parse(text).body
    assert isinstance(found, ast.FunctionDef)
    return found


def test_the_header_is_as_it_was_and_names_alone_are_exchanged() -> None:
    function = _function(
        '@cache(len)\ndef f(len_of, end=sum):\n    """Len \\\\ "sum"."""\n    sum.len(len, sum=1)\n'
        "    def len_too(x=len): return [sum(len) for y in 'len']\n    return f'{sum(len)}'\n"
    )
    prompt, good, bad = swapped_texts(function, None, "len", "sum")
    assert prompt == 'len, sum = sum, len\n@cache(len)\ndef f(len_of, end=sum):\n    """Len \\\\ "sum"."""'
    assert bad == (
        " \n    sum.len(len, sum=1)\n\n    def len_too(x=len):\n        return [sum(len) for y in 'len']\n"
        "    return f'{sum(len)}'\n"
    )
    assert good == (
        " \n    len.len(sum, sum=1)\n\n    def len_too(x=sum):\n        return [len(sum) for y in 'len']\n"
        "    return f'{len(sum)}'\n"
    )


def test_a_method_stands_in_the_header_of_its_class() -> None:
    (owner,) = ast.parse("@deco\nclass A(B, C):\n    x = 1\n    def f(self): return len(str(self))\n").body
    assert isinstance(owner, ast.ClassDef)
    method = owner.body[1]
    assert isinstance(method, ast.FunctionDef)
    prompt, good, _ = swapped_texts(method, owner, "str", "len")
    assert prompt == "str, len = len, str\nclass A(B, C):\n\n    def f(self):"
    assert good == " \n        return str(len(self))\n"
    assert is_python(prompt + good)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("@len\ndef f(): ...", "header"),
        ("def f(a=len()): ...", "header"),
        ("def f(a: len, *, b=1) -> int: ...", "header"),
        ("def f() -> list[len]: ...", "header"),
        ("def f(len): ...", "parameter"),
        ("def f(*, a, **len): ...", "parameter"),
        ("def f():\n return lambda len: 1", "parameter"),
        ("def f():\n len = 1", "assigned"),
        ("def f():\n for a, (len, b) in c: ...", "assigned"),
        ("def f():\n with a as len: ...", "assigned"),
        ("def f():\n import len.a", "assigned"),
        ("def f():\n from a import b as len", "assigned"),
        ("def f():\n def len(): ...", "assigned"),
        ("def f():\n class len: ...", "assigned"),
        ("def f():\n (len := 1)", "assigned"),
        ("def f():\n del len", "assigned"),
        ("def f():\n try: ...\n except A as len: ...", "assigned"),
        ("def f():\n match a:\n  case [*len]: ...", "assigned"),
        ("def f():\n match a:\n  case {**len}: ...", "assigned"),
        ("def f():\n match a:\n  case B() as len: ...", "assigned"),
        ("def f():\n global len", "declared"),
        ("def f():\n def g():\n  nonlocal len", "declared"),
    ],
)
def test_a_name_that_means_something_else_is_seen(text: str, reason: str) -> None:
    if "nonlocal" in text:
        text = text.replace("def g", "len = 1\n def g")
    found = unclean_names(_function(text))
    assert reason in {name for name, names in found.items() if "len" in names}
    clean = unclean_names(_function("def f(a, b=c):\n import d.len\n a.len(len, len=len)\n return 'len'"))
    assert not any("len" in names for names in clean.values())


def test_the_funnel_counts_every_step_and_no_file_is_fatal(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "left_out.py").write_text(TEXT)
    (tmp_path / "old.py").write_text("print 'Python 2'\n")
    (tmp_path / "zero.py").write_bytes(b"a = 1\0")
    (tmp_path / "latin.py").write_bytes(
        b'# coding: latin-1\ndef f(a):\n    """Caf\xe9."""\n    return len(str(a) + "\xe9")\n'
    )
    (tmp_path / "bytes.py").write_bytes(b'def f():\n    "\xff\xfe"\n')
    long = " ".join(f"a{number} = 1;" for number in range(80))
    sources = write(
        tmp_path,
        one=f'{TEXT}\ndef bare(a):\n    return len(str(a))\n\ndef lone(a):\n    "One."\n    return len(a.str())\n',
        two=TEXT.partition("\n\n\n")[0],
        three=f'def long(a):\n    "Long."\n    {long}\n    return len(str(a))\n',
        four='def header(a=len(str(1))):\n    "In the header alone."\n    return a\n',
        five='async def never(a):\n    "Async."\n    return len(str(a))\n',
    )
    counts = _counts(examples_of(sources, _STRICT))
    assert counts == {
        "files": 9,
        "unreadable": 0,
        "not_python": 3,
        "functions": 9,
        "documented": 8,
        "two_names": 7,
        "short": 6,
        "names_header": 1,
        "names_parameter": 0,
        "names_assigned": 0,
        "names_declared": 0,
        "clean": 5,
        "unique": 4,
        "not_printed": 0,
        "same_bodies": 0,
        "functions_used": 4,
        "examples": 4,
    }
    every = examples_of(sources, SwapSelection(clean=False))
    assert (_counts(every)["same_bodies"], _counts(every)["examples"]) == (1, 4)
    assert list(counts) == list(STEPS)
    assert set(every.counts["excluded"]) == {", ".join(sources.excluded)}
    assert next(iter(sources.excluded)) == "test"
    without = examples_of(PythonSources(tmp_path, excluded=()), _STRICT)
    assert _counts(without)["files"] == 10


def test_what_cannot_be_read_or_printed_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = " + ".join(["len(str(a))"] * 1_500)  # deeper than Python's stack where it is printed
    sources = write(tmp_path, a=f"class A:\n    def f(a):\n        'Doc.'\n        return {deep}\n", b=TEXT, c=TEXT)
    read_bytes = Path.read_bytes

    def denied(path: Path) -> bytes:
        if path.name == "b.py":
            raise PermissionError(path)
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", denied)
    counts = _counts(examples_of(sources, SwapSelection(methods=True)))
    assert (counts["unreadable"], counts["not_python"], counts["two_names"], counts["not_printed"]) == (1, 0, 4, 1)
    assert counts["examples"] == 3


def test_examples_depend_on_contents_and_seed_alone(tmp_path: Path) -> None:
    sources = write(tmp_path, b=TEXT)
    three = examples_of(sources, SwapSelection(pairs=3)).examples
    assert len({frozenset((one.first, one.second)) for one in three if one.qualified_name == "second"}) == 3
    one_each = examples_of(sources, _STRICT).examples
    by_function = {one.function: one for one in reversed(three)}
    assert [by_function[one.function].example for one in one_each] == [one.example for one in one_each]
    write(tmp_path, a="def f(a):\n    'Another.'\n    return repr(hash(a))\n")
    again = examples_of(sources, SwapSelection(pairs=3)).examples
    assert [one for one in again if one.module == "b"] == three
    assert {one.module for one in again} == {"a", "b"}
    shutil.move(tmp_path / "b.py", tmp_path / "0.py")
    moved = examples_of(sources, SwapSelection(pairs=3)).examples
    assert {one.example for one in moved} == {one.example for one in again}
    seeds = {tuple(one.example for one in examples_of(sources, SwapSelection(seed=seed)).examples) for seed in range(4)}
    assert len(seeds) > 1
    assert three[0].licence == "not stated"
    assert three[0].line == 1


def test_methods_and_functions_without_docstring(tmp_path: Path) -> None:
    code = (
        "class A:\n    def f(self):\n        'Doc.'\n        return len(str(self))\n"
        "    class B(C):\n        def g(self): return len(repr(self))\n"
        "def h(a):\n    class D:\n        def i(self): return max(abs(a), 1)\n    return D\n"
    )
    sources = write(tmp_path, a=code)

    def names(**more: bool) -> list[str]:
        return [one.qualified_name for one in examples_of(sources, SwapSelection(**more)).examples]  # type: ignore[arg-type]

    assert names() == []
    assert names(methods=True) == ["A.f"]
    assert names(documented=False) == ["h"]
    found = examples_of(sources, SwapSelection(methods=True, documented=False))
    assert sorted(one.qualified_name for one in found.examples) == ["A.B.g", "A.f", "h", "h.D.i"]
    assert {one.selection for one in found.examples} == {"extended/builtins/clean"}
    assert all(is_python(one.prompt + body) for one in found.examples for body in (one.good, one.bad))
    nested = next(one for one in found.examples if one.qualified_name == "A.B.g")
    assert nested.prompt.endswith("\nclass B(C):\n\n    def g(self):")


def test_the_second_set_swaps_names_that_are_no_builtins(tmp_path: Path) -> None:
    code = (
        "def f(a, call):\n    'Doc.'\n    def inner(): ...\n    made = load()\n    for one in a: one()\n"
        "    inner(); made(); len(a); call()\n    return save(made)\n"
    )
    found = examples_of(write(tmp_path, a=code), SwapSelection(names="others")).examples
    assert [{one.first, one.second} for one in found] == [{"load", "save"}]
    assert called_names(_function(code)) == {"load", "one", "inner", "made", "len", "call", "save"}


@pytest.mark.skipif(platform.python_version() != "3.11.7", reason="the library differs between versions")
def test_the_counts_of_a_known_standard_library() -> None:
    found = examples_of(PythonSources(), _STRICT)
    counts = _counts(found)
    assert [counts[step] for step in ("files", "functions", "documented", "two_names", "short")] == [
        610, 3_101, 1_887, 501, 397
    ]  # fmt: skip
    assert (counts["clean"], counts["examples"]) == (396, 395)
    assert len({one.example for one in found.examples}) == 395
    assert {one.licence for one in found.examples} == {"PSF-2.0"}
    for one in found.examples[::8]:
        _is_its_own_inverse(one)


def _is_its_own_inverse(one: SwapExample) -> None:
    """Exchanging again in the good body gives the bad one, and both are Python."""
    header = one.prompt.partition("\n")[2]
    again = swapped_texts(_function(header + one.good), None, one.first, one.second)
    assert again == (one.prompt, one.bad, one.good)
    assert one.good != one.bad


def test_settings_that_are_not_allowed_are_one_line() -> None:
    with pytest.raises(ValueError, match=r"^SwapSelection\.names: 'all' is not allowed; allowed: builtins or others$"):
        SwapSelection(names="all")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"^SwapSelection\.pairs: 0 is not allowed; allowed: a whole number from 1"):
        SwapSelection(pairs=0)
    with pytest.raises(ValueError, match="holds no Python file"):
        examples_of(PythonSources(Path("/nowhere")), _STRICT)
