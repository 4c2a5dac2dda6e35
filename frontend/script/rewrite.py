"""A function's control flow, handed to the runtime: the function made anew from its rewritten source.

What lives here: `convert`, and what keeps the new function like the old one (closure, globals, defaults, names, lines).
Where the source is found is the subject of `source`; how it is rewritten, of `statements` and `expressions`.
"""

from __future__ import annotations
import __future__

import ast
import copy
import itertools
import linecache
import weakref
from collections.abc import Callable
from types import CellType, CodeType, FunctionType
from typing import Any, Final, NoReturn, TypeVar, cast

from ...ir.errors import ArgumentError
from ...ir.locations import Location, resolve
from .expressions import ABSENT, READ, RUNTIME, Expressions, made_class, made_function
from .scopes import Scope
from .source import CannotConvert, Found, compile_quietly, find, refusal
from .statements import FunctionRewriter

__all__ = ["CannotConvert", "convert", "is_converted", "rewritten_source"]

F = TypeVar("F", bound=Callable[..., Any])

_FACTORY: Final = "_ingot_factory"
_MADE: Final = "_ingot_made"
_THUNK: Final = "_ingot_thunk"
_OURS: Final = "_ingot_"
_SUSPENDED: Final = {0x20: "it is a generator", 0x80: "it is a coroutine", 0x200: "it is an asynchronous generator"}
_known: dict[int, tuple[weakref.ref[CodeType], CodeType | CannotConvert]] = {}


def convert(function: F, runtime: Any = None) -> F:
    """A function that does what another does, and asks a runtime for its control flow.

    The new function has the same globals, closure cells, defaults and names, and its code the same lines. A function
    that has been converted is returned as it is.

    Args:
        function: a Python function (of a method, its `__func__`).
        runtime: what is asked: an object with `if_`, `while_`, `for_`, ...; Ingot's own where it is left out.

    Raises:
        CannotConvert: where it has no source, or does what rewriting would change.

    >>> def sign(x):
    ...     return 1 if x > 0 else -1
    >>> convert(sign)(3)
    1
    """
    if not isinstance(function, FunctionType):
        raise ArgumentError("jit.script: not a Python function", found=repr(function), expected="a 'def' or a lambda")
    if is_converted(function):
        return cast(F, function)
    if runtime is None:
        from . import runtime as default

        runtime = default
    return cast(F, _instance(function, _converted(function), runtime))


def is_converted(function: FunctionType) -> bool:
    """Whether a function asks a runtime for its control flow already.

    >>> is_converted(is_converted)
    False
    """
    return RUNTIME in function.__code__.co_freevars


def rewritten_source(function: FunctionType) -> str:
    """A function as it is after the rewriting, as text for people.

    >>> def sign(x):
    ...     return 1 if x > 0 else -1
    >>> print(rewritten_source(sign))
    def sign(x):
        return _ingot_rt.if_exp(x > 0, lambda: 1, lambda: -1)
    """
    found = find(function.__code__, function.__globals__)
    node = _rewritten(function.__code__, found)
    return ast.unparse(ast.fix_missing_locations(node))


def _instance(function: FunctionType, code: CodeType, runtime: Any) -> FunctionType:
    cells = dict(zip(function.__code__.co_freevars, function.__closure__ or (), strict=True))
    cells.update(_links(runtime))
    closure = tuple(cells[name] for name in code.co_freevars)
    made = FunctionType(code, function.__globals__, function.__name__, function.__defaults__, closure)
    made.__kwdefaults__ = function.__kwdefaults__
    made.__annotations__ = function.__annotations__
    made.__doc__ = function.__doc__
    made.__qualname__ = function.__qualname__
    made.__module__ = function.__module__
    made.__dict__.update(function.__dict__)
    if hasattr(function, "__type_params__"):
        made.__type_params__ = function.__type_params__  # type: ignore[attr-defined]
    return made


def _links(runtime: Any) -> dict[str, CellType]:
    """What rewritten code reaches besides the user's variables."""

    def read(name: str, value: Callable[[], Any]) -> Any:
        try:
            return value()
        except NameError:
            return runtime.unbound(name)

    def absent(value: Any) -> bool:
        return type(value) is runtime.Unbound

    return {RUNTIME: CellType(runtime), READ: CellType(read), ABSENT: CellType(absent)}


# --------------------------------------------------------------------------------------------------------------- code


def _converted(function: FunctionType) -> CodeType:
    """The rewritten code of a function; made once for each code object, also where the answer is a refusal."""
    code = function.__code__
    known = _known.get(id(code))
    if known is None or known[0]() is not code:
        key = id(code)
        made = _try_make(code, function.__globals__)
        known = _known[key] = (weakref.ref(code, _forget(key)), made)
    if isinstance(known[1], CannotConvert):
        raise copy.copy(known[1]).with_traceback(None)
    return known[1]


def _forget(key: int) -> Callable[[Any], None]:
    known = _known  # the module's own variables may be gone when the last functions are

    def forget(_: Any) -> None:
        known.pop(key, None)

    return forget


def _try_make(code: CodeType, module: dict[str, Any]) -> CodeType | CannotConvert:
    try:
        return _make(code, find(code, module))
    except CannotConvert as error:
        return error.with_traceback(None)
    except RecursionError:
        advice = "split it into smaller functions"
        return refusal(code, "its blocks are nested too deeply", advice)


def _make(code: CodeType, found: Found) -> CodeType:
    node = _rewritten(code, found)
    _prepare(node, code)
    body = ast.Return(value=node) if isinstance(node, ast.Lambda) else node
    outer: ast.stmt = made_function(_FACTORY, (RUNTIME, READ, ABSENT, *code.co_freevars), [body])
    ast.copy_location(outer, node)
    if found.class_name:  # so that the names that are private to the class are its own
        outer = ast.copy_location(made_class(found.class_name, [outer]), node)
    tree = ast.fix_missing_locations(ast.Module(body=[outer], type_ignores=[]))
    made = compile_quietly(tree, code.co_filename, code.co_flags & __future__.annotations.compiler_flag)
    for _ in range(3 if found.class_name else 2):
        [made] = [const for const in made.co_consts if isinstance(const, CodeType)]
    return _renamed(made, code.co_name, code.co_qualname)


def _rewritten(code: CodeType, found: Found) -> ast.FunctionDef | ast.Lambda:
    """A function's tree after the rewriting."""
    for flag, reason in _SUSPENDED.items():
        if code.co_flags & flag:
            advice = "move what it computes between two yields into a function of its own"
            raise refusal(code, reason, advice)

    def refuse(reason: str, at: ast.AST) -> NoReturn:
        error = refusal(code, reason, "move that into a function of its own")
        error.location = _location(code, at)
        raise error

    node = copy.deepcopy(found.node)
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and inner.id.startswith(_OURS):
            refuse(f"it uses the name '{inner.id}'; names that begin with {_OURS} are reserved", inner)
    numbers = itertools.count(1)
    if isinstance(node, ast.Lambda):
        parameters = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        several = (arg for arg in (node.args.vararg, node.args.kwarg) if arg is not None)
        scope = Scope(tuple(arg.arg for arg in (*parameters, *several)), {}, set(), set())
        Expressions(scope, refuse, numbers, "__class__" in code.co_freevars).visit_body(node)
        return node
    assert isinstance(node, ast.FunctionDef), "asynchronous functions have been refused"
    FunctionRewriter(node, refuse, numbers, "__class__" in code.co_freevars).rewrite()
    return node


def _location(code: CodeType, node: Any) -> Location:
    base = resolve((code, 0))
    line = linecache.getline(code.co_filename, node.lineno).rstrip()
    start, end = node.col_offset + 1, (node.end_col_offset or 0) + 1
    return Location(base.file, node.lineno, start, node.end_lineno or 0, end, base.function, line)


def _prepare(node: ast.FunctionDef | ast.Lambda, code: CodeType) -> None:
    """Leave out what is evaluated where the function is defined, and mark the functions that are ours."""
    for inner in ast.walk(node):
        if getattr(inner, "is_thunk", False):
            assert isinstance(inner, ast.Lambda)
            inner.args.vararg = ast.arg(arg=_THUNK)
    args = node.args
    args.kw_defaults = [None for _ in args.kwonlyargs]
    args.defaults = []
    every = [*args.posonlyargs, *args.args, *args.kwonlyargs, args.vararg, args.kwarg]
    for arg in every:
        if arg is not None:
            arg.annotation = None
    if isinstance(node, ast.FunctionDef):
        node.name = _MADE  # what it calls by its own name is whatever that is where it was defined
        node.returns = None
        if "type_params" in node._fields:
            node.type_params = []  # type: ignore[attr-defined]
        if node.decorator_list:  # never called: it is where the code begins
            first = node.decorator_list[0]
            node.decorator_list = [ast.copy_location(ast.Name(id=RUNTIME, ctx=ast.Load()), first)]


def _renamed(code: CodeType, name: str, qualname: str) -> CodeType:
    """Code under its old name, and the functions that were made of its blocks under the same one: they are part of it,
    and the user's functions inside are nested in nothing else."""
    consts: list[Any] = []
    for const in code.co_consts:
        if not isinstance(const, CodeType):
            consts.append(qualname if const == code.co_qualname and not code.co_flags & 0x2 else const)
        elif const.co_name.startswith(_OURS) or _THUNK in const.co_varnames:
            consts.append(_renamed(const, name, qualname))
        else:
            consts.append(_renamed(const, const.co_name, _nested_name(const, code, qualname)))
    return code.replace(co_name=name, co_qualname=qualname, co_consts=tuple(consts))


def _nested_name(code: CodeType, outer: CodeType, qualname: str) -> str:
    if code.co_qualname == code.co_name:  # declared global
        return code.co_name
    if outer.co_name.startswith("<generic parameters"):  # between `def f[T]` and what it stands in; not in the name
        return f"{qualname.rpartition('.')[0]}.{code.co_name}"
    is_function = bool(outer.co_flags & 0x2)
    return f"{qualname}.<locals>.{code.co_name}" if is_function else f"{qualname}.{code.co_name}"
