# ruff: noqa: UP031, UP032 - the older ways to write a text are what is tested
"""Texts of sizes and numbers that vary: shown to people they say the capture's; used, they fix it, or are refused."""

import functools
import io
import logging
import math
import pdb
import warnings

import ingot
import pytest
from ingot.frontend.capture.texts import is_only_shown, who_writes
from ingot.ir.errors import CaptureError

logger = logging.getLogger(__name__)


def traced(function, **options):
    return ingot.jit.trace(function, ingot.zeros(3), dynamic_shapes={0: "n"}, **options)


class Net(ingot.nn.Module):
    def __init__(self):
        super().__init__()
        self.logger = logger

    def forward(self, x):
        self.logger.info("%s and %d", x.shape, 3)
        return x + 1


def printed(x):
    print(x.shape, f"{x.shape[0]:>4}", "%s" % (x.shape,), str(x.shape[0]), f"{x.shape[0]:04d}", sep=";")
    return x + 1


def logged(x):
    logger.warning(f"{x.shape}")
    logging.debug("size %s", x.shape[0])
    warnings.warn(f"size {x.shape[0]}", stacklevel=1)
    return x + 1


def kept_and_printed(x):
    text = "size " + ", ".join(map(str, x.shape)).upper()
    text += f" of {x.shape[0]:>4}"
    message = text.ljust(9)
    print(message)
    print(f"[{message}]")
    return x + 1


def asserted(x):
    assert x.ndim == 1, f"{x.shape[0]} rows"
    if x.ndim != 1:
        raise ValueError("wrong sizes: {}".format(x.shape))
    return x + 1


def raised(x):
    if x.shape[0] > 1000:
        raise ValueError(f"{x.shape[0]} rows, {x.sum().item():.2f} in all")
    return x + 1


@pytest.mark.parametrize("function", [printed, logged, kept_and_printed, asserted, raised, Net()])
@pytest.mark.parametrize("script", [False, True])
@pytest.mark.filterwarnings("ignore:size")
def test_what_people_are_shown_does_not_fix_a_size(function, script, caplog):
    if function is raised and not script:
        return  # Python takes the example's side there, which is a bound of the size
    with caplog.at_level(logging.DEBUG):
        program = traced(function, script_branches=script)
    for n in (1, 3, 12):
        assert program(ingot.ones(n)).tolist() == [2.0] * n


def test_they_show_the_name_and_stand_in_the_ledger(capsys):
    program = traced(printed, check=False)
    assert capsys.readouterr().out == "ingot.Size([n]);   n;ingot.Size([n]);n;n\n"
    entries = program.ledger.of("text")
    assert len(entries) >= 3 and all("test_texts.py:" in str(entry) for entry in entries)
    assert "1 text" in program.report() or f"{len(entries)} text" in program.report()


def elements(x):
    print(x, f"{x.sum().item():.2f}", x.max().item())
    return x * 2


def test_elements_that_people_are_shown():
    program = traced(elements)
    assert program(ingot.ones(5)).tolist() == [2.0] * 5
    assert len(program.ledger.of("text")) >= 2


CACHE: dict = {}
TABLE = {"3": 1.0, "4": 2.0}


@functools.lru_cache
def doubled(n):
    return 2 * n


def by_item(x):
    if x.shape[0] not in CACHE:
        CACHE[x.shape[0]] = 10 * x.shape[0]
    return x + CACHE[x.shape[0]]


def kept_in_a_variable(x):
    key = f"{x.shape[0]}"
    print(key)
    return x + TABLE.get(key, 9.0)


def named(x):
    name = "size {}".format(x.shape[0])
    return x + len(name)


USED = {
    "f-string": lambda x: x + (1.0 if f"{x.shape[0]}x4" == "3x4" else 0.0),
    "str of the shape": lambda x: x + len(str(x.shape)),
    "repr": lambda x: x + int(repr(x.shape[0])),
    "percent": lambda x: x + len("%s" % (x.shape,)),
    "percent d": lambda x: x + len("%d" % x.shape[0]),
    "format": lambda x: x + float(format(x.shape[0], ".1f")),
    "join": lambda x: x + len(",".join(map(str, x.shape))),
    "in": lambda x: x + (1.0 if "3" in str(x.shape[0]) else 0.0),
    "added": lambda x: x + float(str(x.shape[0]) + ".5"),
    "a dict": lambda x: x + TABLE.get(str(x.shape[0]), 9.0),
    "getattr": lambda x: getattr(x, "exp" if f"{x.shape[0]}" == "3" else "sin")(),
    "a size as a key": lambda x: x + {3: 1.0, 4: 2.0}.get(x.shape[0], 9.0),
    "the shape as a key": lambda x: x + {(3,): 1.0}.get(tuple(x.shape), 2.0),
    "a set": lambda x: x + (1.0 if x.shape[0] in {3, 5} else 0.0),
    "hash": lambda x: x + hash(x.shape[0]),
    "lru_cache": lambda x: x + doubled(x.shape[0]),
    "gcd": lambda x: x + math.gcd(x.shape[0], 6),
    "bits": lambda x: x + x.shape[0].bit_length(),
    "times a text": lambda x: x + len("a" * x.shape[0]),
    "by item": by_item,
    "kept in a variable": kept_in_a_variable,
    "named": named,
}


@pytest.mark.parametrize("script", [False, True])
@pytest.mark.parametrize("what", USED)
def test_what_is_used_is_never_wrong(what, script):
    function = USED[what]
    with pytest.raises(CaptureError, match="the dynamic size 'n' was fixed to 3") as caught:
        traced(function, check=False, script_branches=script)
    assert "test_texts.py" in str(caught.value.location) and "specialize_ok" in caught.value.advice
    CACHE.clear()
    program = traced(function, check=False, script_branches=script, specialize_ok=("n",))
    CACHE.clear()
    assert program(ingot.ones(3)).tolist() == function(ingot.ones(3)).tolist()
    with pytest.raises(ValueError, match="n"):
        program(ingot.ones(4))
    assert all(type(key) is int for key in CACHE)


def test_numbers_of_python_that_need_no_size():
    def f(x):
        n = x.shape[0]
        return x + n.real + n.imag + n.numerator + n.denominator + n.conjugate() + pow(n, 2, 5) + n.__class__(2)

    program = traced(f)
    for n in (1, 3, 8):
        assert program(ingot.zeros(n)).tolist() == f(ingot.zeros(n)).tolist()
    with pytest.raises(AttributeError, match="'int' object has no attribute 'shape'"):
        traced(lambda x: x + x.shape[0].shape)


def test_the_class_of_a_size_in_a_scripted_function():
    def f(x):
        return x + (1.0 if type(x.shape[0]) is int else 2.0) + (1.0 if type([1]) is list else 2.0)

    assert traced(f, script_branches=True)(ingot.zeros(5)).tolist() == [2.0] * 5


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * (2.0 if f"{x.sum().item():.1f}" == "0.0" else 3.0),
        lambda x: x * len(str(x)),
        lambda x: x * len(f"{x.max():.3f}"),
        lambda x: x * len(str(x.tolist())),
        lambda x: x * len(str(int(x.max().item()))),
        lambda x: x * {"0": 1.0}.get(f"{int(x.sum())}", 2.0),
    ],
)
def test_texts_of_elements_that_are_used_are_refused(function):
    with pytest.raises(CaptureError) as caught:
        ingot.jit.trace(function, ingot.zeros(3), check=False, script_branches=True)
    assert "lambda x: x *" in caught.value.location.source and caught.value.advice


def test_a_text_that_is_frozen_on_purpose():
    def f(x):
        with ingot.jit.frozen_ok("a label"):
            name = f"{x.sum().item():.1f}"
        return x * len(name)

    program = ingot.jit.trace(f, ingot.zeros(3), check=False)
    assert program(ingot.ones(3)).tolist() == [3.0] * 3
    assert any("a label" in str(entry) for entry in program.ledger)


def test_a_refusal_cannot_be_caught():
    def f(x):
        try:
            return x * len(f"{x.sum().item()}")
        except RuntimeError:
            return x

    with pytest.raises(CaptureError, match="a text is made of a tensor's elements"):
        ingot.jit.trace(f, ingot.zeros(3), check=False)


class Written:
    """Says what becomes of its text."""

    def __repr__(self):
        import sys

        frame = who_writes(sys._getframe(1))
        return "shown" if frame is not None and is_only_shown(frame) else "used"


def test_source_that_is_not_known_counts_as_used():
    namespace = {"n": Written(), "found": []}
    exec("found.append(f'{n}'); text = str(n)", namespace)
    assert namespace["found"] == ["used"] and namespace["text"] == "used"


def test_variables_that_others_see_count_as_used():
    def outer():
        text = f"{Written()}"

        def inner():
            return text

        print(text)
        return inner

    assert outer()() == "used"


def test_a_user_function_called_print_counts_as_used():
    found = []

    def f(print):
        print(f"{Written()}")

    f(found.append)
    assert found == ["used"]


def test_a_width_counts_as_used_and_so_does_a_text_that_is_printed_to_a_buffer():
    def width(x):
        print(f"{1.5:{x.shape[0]}}")
        return x

    def buffer(x):
        out = io.StringIO()
        print(f"{x.shape[0]}", file=out)
        return x * len(out.getvalue())

    for function in (width, buffer):
        with pytest.raises(CaptureError, match="the dynamic size 'n' was fixed to 3"):
            traced(function, check=False)


def test_a_debugger_may_look_at_anything():
    written = io.StringIO()

    def f(x):
        debugger = pdb.Pdb(stdin=io.StringIO("p x.shape\np f'{x.shape[0]}'\np x.sum().item()\nc\n"), stdout=written)
        debugger.set_trace()
        return x * 2

    program = traced(f, check=False)
    assert "[n]" in written.getvalue() and "0.0" in written.getvalue()
    assert program(ingot.ones(5)).tolist() == [2.0] * 5
