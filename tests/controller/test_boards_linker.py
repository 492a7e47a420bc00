"""What the boards' linker leaves out, and that what it leaves means the same."""

import re
from pathlib import Path

import pytest
from tests.controller.linking import ROOT, Program

from modelwave_controller.boards import linker
from modelwave_controller.boards.sources import Refused
from modelwave_controller.errors import OperatorError

pytestmark = pytest.mark.slow


def same(folder: Path, **modules: str) -> str:
    """The program prints the same before and after, joined or not; its text after."""
    program = Program(folder, **modules)
    expected = program.before()
    assert expected
    assert program.after() == expected
    assert program.after(rename=False) == expected
    texts = program.link()
    return "\n".join(texts[name] for name in sorted(texts))


def refused(folder: Path, **modules: str) -> str:
    with pytest.raises(OperatorError) as caught:
        Program(folder, **modules).link()
    return str(caught.value)


# What is left out.


def test_what_only_types_and_people_read_is_left_out(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main='''
        """What it is for."""
        TYPE_CHECKING = False
        if TYPE_CHECKING:
            from collections.abc import Callable

        class Pair:
            """Two."""
            left: "int" = 1
            right: "int"

        def main(number: "int" = 5) -> "None":
            """Prints."""
            assert number > 1, "never"
            size: "int" = number
            print(size, Pair.left)
        ''',
    )
    for gone in ('"""', "TYPE_CHECKING", "Callable", "'int'", "assert", "->", "None"):
        assert gone not in text


def test_a_block_with_nothing_left_still_is_one(tmp_path: Path) -> None:
    same(
        tmp_path,
        main='''
        class Empty:
            """Only this."""

        class Other(Exception):
            """And this."""

        def nothing():
            """And this."""

        def main():
            if Empty:
                assert Other
            print(nothing())
        ''',
    )


def test_functions_and_methods_that_nobody_calls_are_left_out(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        from modelwave_shared import b
        from modelwave_shared.c import only

        def main():
            print(b.used(), b.Thing().first())
        """,
        shared_b="""
        import struct

        def used():
            return inner() + 1

        def inner():
            return 2

        def lonely():
            return "LONELY" + lonely()

        def called_by_lonely():
            return struct.pack("<H", 1)

        class Thing:
            def first(self):
                return self.second()

            def second(self):
                return 3

            def third(self):
                return "THIRD"
        """,
        shared_c="""
        def only():
            return "ONLY"
        """,
    )
    for gone in ("LONELY", "struct", "THIRD", "ONLY"):
        assert gone not in text


def test_what_a_method_of_some_class_is_called_is_kept_in_all_classes(tmp_path: Path) -> None:
    """Nobody knows here of which class an object is."""
    text = same(
        tmp_path,
        main="""
        class A:
            def hear(self):
                return "A"

        class B:
            def hear(self):
                return "B"

        def main():
            for one in (A(), B()):
                print(one.hear())
        """,
    )
    assert "'A'" in text
    assert "'B'" in text


def test_stubs_are_left_out_and_what_fills_them_in_is_not(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main='''
        class Port:
            def ask(self):
                """Something."""
                raise NotImplementedError

        class Real(Port):
            def ask(self):
                return "real"

        def main():
            print(Real().ask())
        ''',
    )
    assert "NotImplementedError" not in text


def test_an_import_that_no_board_can_make_is_left_out_with_what_it_was_for(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        main="""
        import hashlib
        try:
            from cryptography.exceptions import InvalidSignature
        except ImportError:
            InvalidSignature = None

        def by_openssl():
            return "openssl"

        def pure():
            return "pure"

        verify = pure if InvalidSignature is None else by_openssl
        wide = hashlib.sha512 if hasattr(hashlib, "sha512") else pure

        def main():
            print(verify(), wide())
        """,
    )
    (text,) = program.link().values()
    for gone in ("cryptography", "openssl", "sha512", "try"):
        assert gone not in text
    assert program.after() == "pure pure\n"


def test_an_import_that_some_boards_can_make_stays(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        try:
            import network
        except ImportError:
            network = None

        def main():
            print(network)
        """,
    )
    assert "import network" in text


def test_what_differs_from_board_to_board_is_asked_there(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        import os

        def main():
            print("yes" if hasattr(os, "sync") else "no")
        """,
    )
    assert "hasattr(os, 'sync')" in text


# Constants.


def test_integers_are_put_where_they_are_used(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        from modelwave_shared import limits
        from modelwave_shared.limits import MAX, NAMES, WIDE

        def main():
            print(MAX, limits.TWICE, NAMES, WIDE % 1000, len(limits.MAGIC))
        """,
        shared_limits="""
        MAX = 2**12
        TWICE = 2 * MAX
        MAGIC = b"MAGIC"
        NAMES, OTHER = "ab", "OTHER"
        WIDE = 2**255 - 19
        """,
    )
    assert re.search(r"print\(4096, 8192, 'ab', \w+ % 1000, 5\)", text)
    assert "OTHER" not in text
    assert "int.from_bytes" in text  # worked out, and as bytes


def test_large_integers_become_bytes_that_say_the_same(tmp_path: Path) -> None:
    number = 0x2B8324804FC1DF0B2B4D00993DFBD7A72F431806AD2FE478C4EE1B274A0EA0B0
    text = same(
        tmp_path,
        main=f"""
        ONE = {number}
        SEVERAL = ({number + 1}, -{number}, 5, {2**159})

        def main():
            print(ONE, SEVERAL, ONE * {number})
        """,
    )
    assert text.count("int.from_bytes(") == 3
    assert str(2**159) in text


def test_what_is_assigned_twice_is_no_constant(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        count = 0
        late = 1

        def add():
            global count
            count += 1

        def main():
            add()
            add()
            print(count, late)

        late = 2
        """,
    )


def test_a_local_name_hides_a_constant(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        SIZE = 3

        def hidden(SIZE):
            return SIZE

        def main():
            print(SIZE, hidden(4), [SIZE for SIZE in range(2)], (lambda SIZE=5: SIZE)())
        """,
    )


def test_a_branch_that_is_never_taken_is_left_out(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        DEBUG = False

        def main():
            if DEBUG:
                print("DEBUG")
            else:
                print("plain")
        """,
    )
    assert "DEBUG" not in text


# Names.

SHADOWS = """
from modelwave_shared.b import read, value as given
from modelwave_shared import b

name = "global"
total = 0

class Reader:
    shared = [1]
    name = "class"
    twice = name + name

    def __init__(self, name):
        self.name = name
        self.read = read
        self.items = []

    def items_of(self, read):
        return self.items + [read, name, self.name, Reader.name]

def count(by):
    global total
    total = total + by
    return total

def outer(value):
    seen = []
    def inner(step):
        nonlocal value
        value += step
        seen.append(value)
        return [value for value in range(step)] + seen
    return inner

def fails(error):
    try:
        raise ValueError(error)
    except ValueError as error:
        found = str(error)
    return found

def spread(first, *rest, second=2, **more):
    return first, rest, second, sorted(more.items())

def main():
    reader = Reader("object")
    print(reader.items_of(read=5), reader.read(1), Reader.twice, Reader.shared)
    print(count(2), count(by=3), total)
    inner = outer(1)
    print(inner(2), inner(3))
    print(fails("wrong"), given, b.value, b.read(2))
    print(spread(1, 2, 3, second=4, third=5))
    for name in ("loop",):
        print(name)
    print({total: key for key, total in [(1, 2)]}, total, (lambda total: total + 1)(10))
    with b.Context() as name:
        print(name)
    print([read for read in (read(3) for _ in range(2))])
"""


SHADOWS_B = """
value = [7]

def read(step):
    return ("read", step)

class Context:
    def __enter__(self):
        return "entered"

    def __exit__(self, *_):
        return None
"""


def test_shadowed_names_mean_what_they_meant(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main=SHADOWS,
        shared_b=SHADOWS_B,
    )
    for gone in ("Reader", "outer", "seen", "items_of", "Context"):
        assert gone not in text


def test_attributes_of_the_interpreters_objects_stay(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        import struct

        class Box:
            def __init__(self):
                self.append = []
                self.pack = 1
                self.strip = " x "

            def decode(self):
                return self.strip.strip()

        def main():
            box = Box()
            box.append.append(struct.pack("<H", box.pack))
            print(box.append, box.decode(), b"text".decode())
        """,
    )


def test_keyword_arguments_of_others_and_of_ours_stay(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        def ours(byteorder, length=3, *, key=None):
            return byteorder, length, key

        def main():
            print((5).to_bytes(length=2, byteorder="big"), ours("little", key=1))
            print(sorted([3, 1], key=lambda key: -key), dict(length=1))
        """,
    )


def test_keys_and_texts_stay(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        length = {"length": 1}

        def main():
            print(length["length"], "length", "%(length)s" % length, f"{length}")
        """,
    )


def test_a_name_that_stays_is_found_under_other_names(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        main="""
        from modelwave_shared.b import stays as other
        from modelwave_shared import b

        def main():
            print(other(), b.stays(), b.goes())
        """,
        shared_b="""
        def stays():
            return ["stays"]

        def goes():
            return [stays()]
        """,
    )
    text = program.link(("main", "stays"), apart=())["modelwave_shared.b"]
    assert "def stays" in text
    assert "goes" not in text
    assert program.after(keep=("main", "stays"), apart=()) == program.before()


def test_two_attributes_of_one_object_never_share_a_name(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        class Base:
            def __init__(self):
                self.base_one = 1
                self.base_two = 2

            def tell(self):
                return self.base_one, self.base_two, self.first(), self.second()

        class Middle(Base):
            def __init__(self):
                Base.__init__(self)
                self.middle_one = 3

            def first(self):
                return "first"

        class Last(Middle):
            last_class = "class"

            def __init__(self):
                super().__init__()
                self.last_one, (self.last_two, self.last_three) = 4, (5, 6)

            def second(self):
                return self.middle_one, self.last_one, self.last_two, self.last_three

        def main():
            last = Last()
            print(last.tell(), last.last_class)
        """,
    )


def test_a_class_body_sees_the_modules_names(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        from modelwave_shared.b import FIRST

        def outside():
            return "outside"

        class Table:
            rows = {"a": outside, "b": FIRST}
            again = outside

            def look(self, key):
                return self.rows[key]()

        def main():
            print(Table().look("a"), Table().look("b"), Table.again())
        """,
        shared_b="""
        def FIRST():
            return "FIRST"
        """,
    )


def test_nothing_is_called_as_something_that_it_uses(tmp_path: Path) -> None:
    """Short names that are taken: a global of one letter, a builtin, a name that stays."""
    same(
        tmp_path,
        main="""
        import os as a

        def b(c, d):
            return c + d

        def longer_name(first, second):
            return b(first, second), a.sep, len("abc")

        def main():
            print(longer_name(1, 2))
        """,
    )


# Joining.


def test_modules_of_one_phase_become_one_and_are_forgotten_together(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        main="""
        import sys

        class Phase:
            def __init__(self, *modules):
                self.modules = modules

        WORK = Phase("modelwave_shared.b", "modelwave_shared.c", "modelwave_shared.early")

        from modelwave_shared import early

        def main():
            from modelwave_shared.b import begin
            from modelwave_shared import c
            print(begin(), c.same(), early.value())
            loaded = [name for name in WORK.modules if name in sys.modules]
            print(len(loaded) == len(WORK.modules), len(loaded) > 0)
        """,
        shared_b="""
        from modelwave_shared import c

        def same():
            return "b"

        def begin():
            return same() + c.same()
        """,
        shared_c="""
        def same():
            return "c"
        """,
        shared_early="""
        def value():
            return ["early"]
        """,
    )
    texts = program.link()
    assert sorted(texts) == ["modelwave_agent.b", ROOT]
    assert "Phase" not in texts[ROOT]
    assert texts[ROOT].count("'modelwave_agent.b'") == 1
    assert "modelwave_shared" not in texts[ROOT]
    assert repr(ROOT) not in texts[ROOT]  # which has become the home of one that is named
    assert program.after() == program.before()


def test_modules_that_are_told_apart_stay_apart(tmp_path: Path) -> None:
    program = Program(
        tmp_path,
        main="""
        from modelwave_agent.ports import Port
        from modelwave_shared.b import told

        def main():
            print(Port().name(), told())
        """,
        agent_ports="""
        class Port:
            def name(self):
                return "port"
        """,
        shared_b="""
        from modelwave_agent.ports import Port

        def told():
            return [Port().name()]
        """,
    )
    texts = program.link(apart=(ROOT, "modelwave_agent.ports"))
    assert sorted(texts) == [ROOT, "modelwave_agent.ports"]
    assert "from .ports import" in texts[ROOT]
    assert program.after(apart=(ROOT, "modelwave_agent.ports")) == program.before()


def test_a_small_function_is_written_out_where_it_is_called(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        class Device:
            def __init__(self):
                self.about = {"fleet": "f"}

            def topic(self):
                return under(self.about["fleet"], "x") + twice(self.about["fleet"])

        def under(fleet, part):
            return fleet + "/" + part + "/UNDER"

        def twice(text):
            return text + text

        def recursive(n):
            return n and recursive(n - 1)

        def main():
            print(Device().topic(), recursive(3))
        """,
    )
    assert re.search(r"return \w+\.\w+\['fleet'\] \+ '/' \+ 'x' \+ '/UNDER'", text)


def test_a_small_function_stays_where_its_names_would_mean_something_else(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        unit = ["global"]

        def with_unit(number):
            return number, unit

        def convert(unit):
            return with_unit(unit)

        def main():
            print(convert("local"))
        """,
    )


def test_a_small_function_stays_where_it_would_be_worked_out_in_another_order(
    tmp_path: Path,
) -> None:
    """What it is given is read before it calls anything."""
    same(
        tmp_path,
        main="""
        count = 1

        class Counter:
            def __init__(self):
                self.number = 1

            def add(self):
                self.number += 1
                return self.number

            def both(self):
                return after(self, self.number)

        def after(counter, number):
            return counter.add() + 10 * number

        def bump():
            global count
            count += 1
            return count

        def of_global(given):
            return bump() + 10 * given

        def of_free(call, given):
            return call() + 10 * given

        def free():
            number = 1
            def inner():
                nonlocal number
                number += 1
                return number
            return of_free(inner, number)

        def main():
            print(Counter().both(), of_global(count), free())
        """,
    )


def test_a_generator_is_not_written_out_where_it_is_called(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        def once(value):
            return (yield value)

        async def waits(value):
            return await value

        def outer(value):
            return list(once(value))

        def later(value):
            return waits(value)

        def main():
            made = later(1)
            print(outer(1), type(made).__name__)
            made.close()
        """,
    )


def test_functions_of_ours_that_are_called_as_builtins_are_called(tmp_path: Path) -> None:
    same(
        tmp_path,
        main="""
        import hashlib
        from modelwave_shared.b import hasattr

        def len(text):
            return "ours", text

        def main():
            print(len("abc"), hasattr(hashlib, "sha256"))
        """,
        shared_b="""
        def hasattr(thing, name):
            return "ours", name
        """,
    )


# What it refuses.


@pytest.mark.parametrize(
    "line",
    ["yield 1", "name = 5", "import os", "for name in (): pass", "def name(): pass", "global name"],
)
def test_a_branch_that_never_runs_but_means_something_is_refused(tmp_path: Path, line: str) -> None:
    main = f"DEBUG = False\nname = 1\ndef main():\n    if DEBUG:\n        {line}\n    print(name)\n"
    assert re.search(r"main\.py:5: .*never runs", refused(tmp_path, main=main))


def test_an_expression_that_never_runs_but_means_something_is_refused(tmp_path: Path) -> None:
    main = "DEBUG = False\ndef main():\n    print((yield) if DEBUG else 1)\n"
    assert re.search(r"main\.py:3: .*never runs", refused(tmp_path, main=main))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("def main():\n    assert print(1)\n", 2),
        ("async def main():\n    assert await x\n", 2),
        ("def main():\n    assert (y := 1)\n    print(y)\n", 2),
        ("lonely = print(1)\ndef main(): pass\n", 1),
        ("class A:\n    lonely = print(1)\ndef main():\n    A()\n", 2),
    ],
)
def test_what_would_be_left_out_but_does_something_is_refused(
    tmp_path: Path, text: str, line: int
) -> None:
    assert re.search(rf"main\.py:{line}: .*may do something", refused(tmp_path, main=text))


def test_what_only_comes_to_a_value_is_left_out(tmp_path: Path) -> None:
    text = same(
        tmp_path,
        main="""
        LONELY = bytes(5)

        class A:
            ALONE = frozenset((1, 2))

        def main():
            assert isinstance(A, type)
            print(A is None)
        """,
    )
    for gone in ("bytes", "frozenset", "isinstance"):
        assert gone not in text


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("getattr(main, 'x' + 'y')", "getattr"),
        ("hasattr(main, name)", "hasattr"),
        ("setattr(main, 'x', 1)", "setattr"),
        ("globals()['main']", "globals"),
        ("eval('main')", "eval"),
        ("exec('main')", "exec"),
        ("__import__('os')", "__import__"),
        ("dict(**{'a': 1})", r"\*\*"),
        ("'{0.name}'.format(main)", "format"),
        ("'{name}'.format(name=1)", "format"),
        ("name.format(main)", "format"),
        ("from collections import namedtuple", "namedtuple"),
        ("collections.namedtuple('A', 'b')", "namedtuple"),
        ("print(b)", "used as a value"),
        ("b.missing()", "no missing"),
    ],
)
def test_names_in_texts_are_refused(tmp_path: Path, line: str, problem: str) -> None:
    main = f"from modelwave_shared import b\nname = 'x'\ndef main():\n    {line}\n    b.there()\n"
    said = refused(tmp_path, main=main, shared_b="def there(): pass")
    assert re.search(problem, said)
    assert re.search(r"main\.py:4: ", said)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("from modelwave_shared.b import *", "import *"),
        ("from modelwave_shared import absent", "there is no modelwave_shared.absent"),
        ("import modelwave_shared.b", "say `from"),
        ("from . import b", "relative"),
        ("from modelwave_shared.b import there\nthere = 5", "bound again"),
        ("def main(:", "main.py:1: "),
    ],
)
def test_imports_that_hide_what_they_bring_are_refused(
    tmp_path: Path, text: str, problem: str
) -> None:
    main = text + "\ndef main():\n    print(there)\n"
    assert problem in refused(tmp_path, main=main, shared_b="def there(): pass")


def test_host_modules_are_refused(tmp_path: Path) -> None:
    program = Program(tmp_path, main="from modelwave_agent.host import daemon\n")
    host = tmp_path / "in/modelwave_agent/host"
    host.mkdir()
    (host / "__init__.py").write_text("")
    (host / "daemon.py").write_text("x = 1")
    with pytest.raises(OperatorError, match="is for hosts"):
        program.link()


def test_modules_that_import_each_other_are_refused(tmp_path: Path) -> None:
    said = refused(
        tmp_path,
        main="from modelwave_shared import b\ndef main(): print(b.one())",
        shared_b="from modelwave_shared import c\ndef one(): return c.two()",
        shared_c="from modelwave_shared import b\ndef two(): return b.one()",
    )
    assert "circle" in said


def test_a_refusal_is_an_operators_error() -> None:
    assert issubclass(Refused, OperatorError)


def test_linking_twice_gives_the_same(tmp_path: Path) -> None:
    program = Program(tmp_path, main=SHADOWS, shared_b=SHADOWS_B)
    assert program.link() == program.link()


# What a program knows.


def test_names_that_a_program_knows_stay_and_so_do_parameters(tmp_path: Path) -> None:
    """Also of the classes that its class is made from, wherever they stand."""
    program = Program(tmp_path, main="from modelwave_agent.board.agent import BoardAgent")
    board = tmp_path / "in/modelwave_agent/board"
    board.mkdir()
    (board / "__init__.py").write_text("")
    (board / "agent.py").write_text(
        "from modelwave_shared.base import Base\n"
        "class BoardAgent(Base):\n"
        "    def __init__(self, device):\n"
        "        self.device = device\n"
        "    def _own(self, private_one):\n"
        "        return private_one\n"
    )
    (tmp_path / "in/modelwave_shared/base.py").write_text(
        "class Base:\n"
        "    def __init__(self, hidden):\n"
        "        self.hidden = hidden\n"
        "    def observe(self, inferences=1):\n"
        "        return internal(inferences, 5)\n"
        "def internal(inferences, private_two):\n"
        "    return inferences + private_two\n"
    )
    core = "modelwave_agent.board.agent"
    (text,) = linker.link(
        ["modelwave_agent.board.*"], program.packages, apart=[core]
    ).texts.values()
    assert "class BoardAgent(" in text
    assert re.search(r"def observe\(\w+, inferences=1\)", text)
    assert re.search(r"def __init__\(\w+, device\)", text)
    for gone in ("hidden", "private", "internal", "Base", "_own"):
        assert gone not in text.replace("BoardAgent", "")
