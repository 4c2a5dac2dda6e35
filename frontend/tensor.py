"""`Tensor`: an array with PyTorch's vocabulary, views that share memory, in-place operations and gradients.

Methods that are ops (`x.exp()`, `x.softmax(-1)`) are looked up in the registry when first used; here stands what is
more than an op. Indexing lives in `indexing`, in-place changes in `inplace`, functions in `functions`, what makes
tensors in `creation`.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..ir import ops as _ops  # noqa: F401  (fills the registry)
from ..ir import registry
from ..ir.arrays import to_device
from ..ir.dtypes import DType, float32, from_numpy
from ..ir.errors import ArgumentError, GradientError
from ..ir.locations import here
from ..ir.operators import Operators
from . import conversion, creation, derived, functions, indexing, inplace, tape
from .devices import device, device_of
from .dispatch import EAGER, entry, link_view
from .hooks import RemovableHandle
from .mode import mode
from .sizes import Size
from .tape import Leaf
from .tensor_base import TENSORS, TensorBase, use_tensor_class, wrap

__all__ = ["Tensor"]


class Tensor(TensorBase, Operators):
    """A multi-dimensional array that knows how to compute its gradients.

    Made by `ingot.tensor(data)` and its kin; results of operations are tensors again.

    >>> import ingot
    >>> x = ingot.tensor([1.0, 2.0], requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad
    tensor([2., 4.])
    """

    _F = EAGER

    def __init__(self, data: Any = ()) -> None:
        self._array = np.array(creation.as_array(data), dtype=float32.np)

    # ------------------------------------------------------------------------------------------------ facts

    @property
    def shape(self) -> Size:
        """The sizes, one per dimension. While a capture runs, dynamic ones are symbolic."""
        if mode.tracer is not None:
            found: Size = mode.tracer.shape_of(self)
            mode.tracer.ledger.read("shape", "sizes", list(found))
            return found
        return Size(self._array.shape)

    def size(self, dim: int | None = None) -> Any:
        """The sizes, or that of one dimension."""
        found = self.shape if dim is None else self.shape[dim]
        if mode.tracer is not None:
            mode.tracer.ledger.read("shape", "sizes" if dim is None else "size", list(found) if dim is None else found)
        return found

    @property
    def dtype(self) -> DType:
        """The element type."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("dtype", "dtype", from_numpy[self._array.dtype].name)
        return from_numpy[self._array.dtype]

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("shape", "number of dimensions", self._array.ndim)
        return self._array.ndim

    def dim(self) -> int:
        """The number of dimensions."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("shape", "number of dimensions", self._array.ndim)
        return self._array.ndim

    def numel(self) -> Any:
        """The number of elements."""
        total: Any = 1
        for size in self.shape:
            total = total * size
        if mode.tracer is not None:
            mode.tracer.ledger.read("shape", "number of elements", total)
        return total

    def element_size(self) -> int:
        """Bytes per element."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("dtype", "bytes per element", self._array.dtype.itemsize)
        return self._array.dtype.itemsize

    @property
    def device(self) -> device:
        """Where the memory lies: `device("cpu")` for NumPy arrays, `device("cuda:N")` for CuPy's."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("device", "device", device_of(self._array))
        return device_of(self._array)

    @property
    def is_cuda(self) -> bool:
        """Whether the memory lies on a CUDA device."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("device", "on a CUDA device", not isinstance(self._array, np.ndarray))
        return not isinstance(self._array, np.ndarray)

    @property
    def is_leaf(self) -> bool:
        """Whether the tensor was made by the user rather than computed from tensors that require a gradient."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("grad", "is a leaf", self._node is None or isinstance(self._node, Leaf))
        return self._node is None or isinstance(self._node, Leaf)

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating-point one."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("dtype", "dtype", from_numpy[self._array.dtype].name)
        return self.dtype.is_floating_point

    def is_contiguous(self) -> bool:
        """Whether the elements lie in memory in row-major order without gaps."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("layout", "contiguous", bool(self._array.flags.c_contiguous))
        return bool(self._array.flags.c_contiguous)

    def stride(self, dim: int | None = None) -> Any:
        """Steps between neighbours, in elements."""
        steps = tuple(s // self._array.itemsize for s in self._array.strides)
        if mode.tracer is not None:
            mode.tracer.ledger.read("layout", "strides", steps)
        return steps if dim is None else steps[dim]

    def data_ptr(self) -> int:
        """The address of the first element."""
        if mode.tracer is not None:  # the address itself differs from run to run
            mode.tracer.ledger.read("layout", "address of the memory", "")
        return self._array.ctypes.data

    @property
    def _version(self) -> int:
        return 0 if self._storage is None else self._storage.version

    @property
    def T(self) -> Tensor:
        """Dimensions in reverse order."""
        return EAGER.permute(self, tuple(range(self.ndim))[::-1])

    @property
    def mT(self) -> Tensor:
        """The last two dimensions swapped."""
        return self.transpose(-2, -1)

    # ------------------------------------------------------------------------------------------- gradients

    @property
    def requires_grad(self) -> bool:
        """Whether operations on the tensor are recorded for its gradient."""
        if mode.tracer is not None:
            mode.tracer.ledger.read("grad", "requires a gradient", self._node is not None)
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Switch recording on or off for a leaf.

        Raises:
            GradientError: for integers, and when switching off what was computed from other tensors.
        """
        if requires_grad and self._node is None:
            if not self.dtype.is_floating_point:
                raise GradientError(
                    f"only floating-point tensors have gradients, not {self.dtype.name}", location=here()
                )
            self._node = Leaf(self)
        elif not requires_grad and self._node is not None:
            if not isinstance(self._node, Leaf):
                raise GradientError(
                    "requires_grad can only be changed on leaves", location=here(), advice="use detach()"
                )
            self._node = None
        return self

    @property
    def grad(self) -> Any:
        """The gradient that `backward` added up here, or None."""
        if mode.tracer is not None:
            mode.tracer.gradients.found(self)
        return self._grad

    @grad.setter
    def grad(self, value: Any) -> None:
        if value is not None and not isinstance(value, TensorBase):
            raise ArgumentError(f"grad must be a tensor or None, not {type(value).__name__}", location=here())
        if mode.tracer is not None:
            mode.tracer.gradients.keep(self)
        self._grad = value

    @property
    def grad_fn(self) -> Any:
        """The tape's node that made the tensor, or None for a leaf."""
        return None if isinstance(self._node, Leaf) else self._node

    def backward(self, gradient: Any = None, retain_graph: bool | None = None, create_graph: bool = False) -> None:
        """Add this tensor's gradients to the `.grad` of the leaves it depends on; see `autograd.backward`."""
        tape.backward(self, gradient, retain_graph, create_graph)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call `hook` with this tensor's gradient once `backward` knows it; what it returns, if anything, replaces it.

        Returns:
            a handle whose `remove()` takes the hook away.

        Raises:
            GradientError: when the tensor requires no gradient.
        """
        if self._node is None:
            raise GradientError("register_hook: the tensor requires no gradient", location=here())
        return tape.hooks_of(self._node, self._index).add(hook)

    def retain_grad(self) -> None:
        """Let `backward` leave the gradient in `.grad`, as it does for leaves."""
        if self.is_leaf:
            return
        ref = weakref.ref(self)

        def keep(gradient: Tensor) -> None:
            tensor = ref()
            if tensor is not None:
                known = tensor.grad
                tensor.grad = gradient if known is None else known + gradient

        self.register_hook(keep)

    def detach(self) -> Tensor:
        """The same memory, cut off from the gradient."""
        if mode.tracer is not None:
            return EAGER.detach(self)
        found = wrap(self._array)
        link_view(found, self, _DETACH, {})
        return found

    def detach_(self) -> Tensor:
        """Cut this tensor off from the gradient, in place."""
        if mode.tracer is not None:
            mode.tracer.adopt(self, EAGER.detach(self)._trace)
        self._node = None
        return self

    @property
    def data(self) -> Tensor:
        """The same memory, cut off from the gradient."""
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if value.shape != self.shape:
            raise ArgumentError(f"data: sizes {list(value.shape)} differ from {list(self.shape)}", location=here())
        inplace.rebind(self, value)

    # ------------------------------------------------------------------------------------- out to Python

    def _leaves_graph(self, how: str) -> None:
        if mode.tracer is not None:
            mode.tracer.leaves_graph(self, how)

    def numpy(self) -> np.ndarray:
        """The array itself: it shares the tensor's memory.

        Raises:
            GradientError: when the tensor requires a gradient; detach() it first.
        """
        self._leaves_graph("numpy()")
        if self._node is not None:
            raise GradientError(
                "numpy(): the tensor requires a gradient", location=here(), advice="use detach().numpy()"
            )
        if self._storage is not None:
            self._storage.exposed = True
        return to_device(self._array, "cpu")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        self._leaves_graph("np.asarray()")
        if self._storage is not None and not copy:
            self._storage.exposed = True
        found = to_device(self._array, "cpu")
        return np.array(found, dtype=dtype, copy=copy)

    def item(self) -> Any:
        """The single element as a Python number. While a capture runs, one that depends on what the program is given
        is a run-time number, which stays in the graph."""
        if self._array.size != 1:
            raise ArgumentError(
                "item(): the tensor does not hold a single element",
                found=f"sizes {list(self._array.shape)}",
                location=here(),
            )
        tracer = mode.tracer
        if tracer is not None and tracer.varies(self) and (tracer.frozen_ok is None or tracer.abstract):
            return tracer.item(self)
        if tracer is not None:
            tracer.leaves_graph(self, "item()")
        value = self._array.item()
        return value if isinstance(value, (bool, int, float)) else float(value)

    def tolist(self) -> Any:
        """The elements as nested lists of Python numbers; while a capture runs, as `item`."""
        tracer = mode.tracer
        if tracer is not None and tracer.varies(self):
            found = tracer.items(self) if tracer.frozen_ok is None or tracer.abstract else None
            if found is not None:
                return found
        if tracer is not None:
            tracer.leaves_graph(self, "tolist()")
        return self._array.tolist()

    @property
    def __ingot_size__(self) -> Any:
        """An integer that the data decides, as a size: only while a capture runs."""
        tracer = mode.tracer
        if tracer is None or self._array.size != 1 or self._array.dtype.kind not in "iu" or not tracer.varies(self):
            raise AttributeError("__ingot_size__")
        return tracer.item(self).__ingot_size__

    def __float__(self) -> float:
        self._leaves_graph("float()")
        return float(self._single("float()"))

    def __int__(self) -> int:
        self._leaves_graph("int()")
        return int(self._single("int()"))

    def __index__(self) -> int:
        if self.dtype.kind == "float":
            raise TypeError("only integer tensors of a single element can be converted to an index")
        self._leaves_graph("a list index or range()")
        return int(self._single("a list index"))

    def _single(self, how: str) -> Any:
        if self._array.size != 1:
            raise ArgumentError(
                f"{how}: the tensor does not hold a single element",
                found=f"sizes {list(self._array.shape)}",
                location=here(),
            )
        return self._array.item()

    def __bool__(self) -> bool:
        if mode.tracer is not None:
            mode.tracer.refuse_branch(self)
        if self._array.size != 1:
            raise ArgumentError(
                "the truth of a tensor with more than one element, or none, is ambiguous",
                found=f"sizes {list(self._array.shape)}",
                location=here(),
                advice="use any() or all()",
            )
        return bool(self._array.item())

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        if mode.tracer is not None:
            mode.tracer.ledger.read("shape", "length", self.shape[0])
        return int(self.shape[0])

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(len(self))])

    def __contains__(self, value: Any) -> bool:
        return bool(EAGER.any(EAGER.eq(self, value)))

    def __getitem__(self, index: Any) -> Tensor:
        return indexing.get(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        indexing.set_(self, index, value)

    def __repr__(self) -> str:
        text = conversion.show(self)
        if mode.tracer is not None and mode.tracer.is_traced(self) and mode.tracer.varies(self):
            return str(mode.tracer.shown(text, sys._getframe(1)))
        return text

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and self._array.size == 1 else str(self)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensor:
        if not self.is_leaf:
            raise GradientError("only leaves can be copied deeply", location=here(), advice="detach() it first")
        found: Tensor = object.__new__(type(self))
        found.__dict__.update({k: v for k, v in self.__dict__.items() if not k.startswith("_") or k == "_grad"})
        found._array = self._array.copy()
        if self._node is not None:
            found._node = Leaf(found)
        if mode.tracer is not None:
            mode.tracer.adopt(found, EAGER.clone(EAGER.detach(self))._trace)
        memo[id(self)] = found
        return found

    def __copy__(self) -> Tensor:
        found = self.detach()
        return found.requires_grad_() if self.requires_grad and self.is_leaf else found

    def __reduce_ex__(self, protocol: Any) -> Any:
        self._leaves_graph("pickle")
        return conversion.rebuild, (self._array, self.requires_grad and self.is_leaf)

    # ------------------------------------------------------------- methods that are more than an op of the name

    def __eq__(self, other: object) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else EAGER.eq(self, other)

    def __ne__(self, other: object) -> Any:
        return NotImplemented if other is None or isinstance(other, str) else EAGER.ne(self, other)

    __hash__ = Operators.__hash__

    def __iadd__(self, other: Any) -> Tensor:
        return inplace.add_(self, other)

    def __isub__(self, other: Any) -> Tensor:
        return inplace.sub_(self, other)

    def __imul__(self, other: Any) -> Tensor:
        return self.mul_(other)

    def __itruediv__(self, other: Any) -> Tensor:
        return self.div_(other)

    def __ifloordiv__(self, other: Any) -> Tensor:
        return self.floor_divide_(other)

    def __imod__(self, other: Any) -> Tensor:
        return self.remainder_(other)

    def __ipow__(self, other: Any) -> Tensor:
        return self.pow_(other)

    def __iand__(self, other: Any) -> Tensor:
        return self.bitwise_and_(other)

    def __ior__(self, other: Any) -> Tensor:
        return self.bitwise_or_(other)

    def __ixor__(self, other: Any) -> Tensor:
        return self.bitwise_xor_(other)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = _method(name)
        if found is None:
            # With these, Python itself suggests a close name, and only where the error is shown.
            raise AttributeError(f"'Tensor' object has no attribute {name!r}", name=name, obj=self)
        setattr(Tensor, name, found)
        return found.__get__(self)

    def __dir__(self) -> list[str]:
        ops = [op.short for op in registry.all_ops() if _method(op.short) is not None]
        return sorted({*super().__dir__(), *functions.METHODS, *derived.METHODS, *inplace.METHODS, *ops})

    def to(self, *args: Any, dtype: Any = None, device: Any = None, **_: Any) -> Tensor:
        """The tensor in another dtype, on another device, or as another tensor is."""
        return conversion.to(self, *args, dtype=dtype, device=device)

    def type(self, dtype: Any) -> Tensor:
        """The tensor in another dtype."""
        return self.to(dtype=dtype)

    def clone(self) -> Tensor:
        """A copy with memory of its own; gradients flow through."""
        return EAGER.clone(self)

    def transpose(self, dim0: int, dim1: int) -> Tensor:
        """Two dimensions swapped; a view."""
        order = list(range(self.ndim))
        first, second = (functions.checked_dim("transpose", d, self.ndim) for d in (dim0, dim1))
        order[first], order[second] = second, first
        return EAGER.permute(self, tuple(order))

    def t(self) -> Tensor:
        """A matrix transposed; vectors stay as they are."""
        return self if self.ndim < 2 else self.transpose(0, 1)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in other sizes, one of which may be -1; a view where possible."""
        return EAGER.reshape(self, _spread(shape))

    def view(self, *shape: Any) -> Tensor:
        """As `reshape`, but always sharing memory.

        Raises:
            ArgumentError: when the elements' order in memory does not allow it.
        """
        found = EAGER.reshape(self, _spread(shape))
        if found._array.size and not np.may_share_memory(found._array, self._array):
            raise ArgumentError(
                "view: the elements do not lie in memory as the new sizes need",
                location=here(),
                advice="use reshape(...)",
            )
        return found

    def view_as(self, other: Tensor) -> Tensor:
        """This tensor viewed in the sizes of another."""
        return self.view(other.shape)

    def reshape_as(self, other: Tensor) -> Tensor:
        """This tensor in the sizes of another."""
        return self.reshape(other.shape)

    def expand(self, *size: Any) -> Tensor:
        """Dimensions of size 1 stretched to the given sizes, without a copy; -1 keeps a size."""
        return EAGER.expand(self, _spread(size))

    def expand_as(self, other: Tensor) -> Tensor:
        """This tensor stretched to the sizes of another."""
        return self.expand(other.shape)

    def permute(self, *dims: Any) -> Tensor:
        """Dimensions in the given order; a view."""
        return EAGER.permute(self, _spread(dims))

    def repeat(self, *sizes: Any) -> Tensor:
        """The tensor repeated along each dimension."""
        return EAGER.repeat(self, _spread(sizes))

    def type_as(self, other: Tensor) -> Tensor:
        """The tensor in the dtype of another."""
        return self.to(dtype=other.dtype)


def _spread(sizes: tuple[Any, ...]) -> Sequence[Any]:
    """Sizes given one by one or as one sequence."""
    return sizes[0] if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)) else sizes


def _method(name: str) -> Any:
    """What a method of that name is: a function of `functions` or `inplace`, or an op."""
    found = functions.METHODS.get(name) or derived.METHODS.get(name) or inplace.METHODS.get(name)
    if found is not None:
        return found
    if name.endswith("_") and not name.startswith("_"):
        return inplace.method(name)
    op = registry.find(f"ingot::{name}")
    if op is None or not op.schema.parameters or op.schema.parameters[0].kind != "Tensor" or op.schema.variadic == 0:
        return None
    return entry(op)


_DETACH = registry.lookup("ingot::detach")

TENSORS.add(Tensor)
use_tensor_class(Tensor)


def _install_operators() -> None:
    """Put the ops' own entry functions in the place of the generic operators, each at its first use: a lookup less
    on the hottest path."""
    binary = {
        "add": "add", "sub": "sub", "mul": "mul", "truediv": "div", "floordiv": "floor_divide", "mod": "remainder",
        "pow": "pow", "matmul": "matmul", "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor",
    }  # fmt: skip
    for word, name in binary.items():
        _install(f"__{word}__", name, reverse=False)
        _install(f"__r{word}__", name, reverse=True)
    for word in ("lt", "le", "gt", "ge"):
        _install(f"__{word}__", word, reverse=False)
    for word, name in {"neg": "neg", "abs": "abs", "invert": "bitwise_not"}.items():
        _install(f"__{word}__", name, reverse=False)


def _install(slot: str, name: str, reverse: bool) -> None:
    def first(self: Tensor, *other: Any) -> Any:
        function = entry(registry.lookup(name))
        method = (lambda self, other: function(other, self)) if reverse else function
        setattr(Tensor, slot, method)
        return method(self, *other)

    setattr(Tensor, slot, first)


_install_operators()
