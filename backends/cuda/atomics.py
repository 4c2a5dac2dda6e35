"""Atomic updates for every dtype and combiner, as CUDA text in the form of `cfamily_library`.

Sums of 32- and 64-bit numbers are the device's own. Everything else exchanges the word around the element until no
other thread came in between: elements of 8 and 16 bits lie in a 32-bit word together with others. The order of the
updates is not defined, so sums of floats are equal from run to run only to rounding.
"""

from __future__ import annotations

from typing import Final

from ...ir.dtypes import DType, by_short, float32, float64
from ..cfamily import Text, apply, loaded, stored
from ..cfamily_library import compute_type, storage_type

__all__ = ["ATOMICS"]

_COMBINERS: Final = {"sum": "add", "prod": "mul", "max": "maximum", "min": "minimum"}

_EXCHANGE: Final = """\
FN void {name}({memory} *place, {value} value) {{
    {word} *word = {address};
    {word} seen = *word, held;
    do {{
        held = seen;
        const {value} current = {load};
        const {memory} next = {store};
        seen = atomicCAS(word, held, {merged});
    }} while (seen != held);
}}
"""
_SHIFT: Final = "(u32)((u64)place & 3) * 8"


def _atomic(combiner: str, dtype: DType) -> str:
    name, memory, value = f"atomic_{combiner}_{dtype.short}", storage_type(dtype), compute_type(dtype)
    if combiner == "sum" and dtype.itemsize >= 4:
        pointer, added = ("(u64 *)place", "(u64)value") if memory == "i64" else ("place", "value")
        return f"FN void {name}({memory} *place, {value} value) {{ atomicAdd({pointer}, {added}); }}\n"
    combined = apply(_COMBINERS[combiner], [Text("current"), Text("value")], dtype)
    narrow = dtype.itemsize < 4
    bits = "(u64)place & ~(u64)3"
    return _EXCHANGE.format(
        name=name,
        memory=memory,
        value=value,
        word="u64" if dtype.itemsize == 8 else "u32",
        address=f"(u32 *)({bits})" if narrow else f"({'u64' if dtype.itemsize == 8 else 'u32'} *)place",
        load=_loaded(dtype),
        store=stored(combined, dtype),
        merged=_merged(dtype),
    )


def _loaded(dtype: DType) -> str:
    if dtype is float32:
        return "f32_of_bits(held)"
    if dtype is float64:
        return "__longlong_as_double((i64)held)"
    if dtype.itemsize >= 4:
        return f"({dtype.short})held"
    return loaded(f"({storage_type(dtype)})(held >> {_SHIFT})", dtype).code


def _merged(dtype: DType) -> str:
    if dtype is float32:
        return "bits_of_f32(next)"
    if dtype is float64:
        return "(u64)__double_as_longlong(next)"
    if dtype.itemsize >= 4:
        return "(u64)next" if dtype.itemsize == 8 else "(u32)next"
    mask = "0xffu" if dtype.itemsize == 1 else "0xffffu"
    return f"(held & ~({mask} << {_SHIFT})) | ((u32)next & {mask}) << {_SHIFT}"


ATOMICS: Final = {
    f"atomic_{combiner}_{dtype.short}": _atomic(combiner, dtype)
    for combiner in _COMBINERS
    for dtype in by_short.values()
}
