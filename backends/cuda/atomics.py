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
_EXCHANGE_WITHIN: Final = """\
FN void {name}({memory} *place, {value} value) {{
    u32 *word = (u32 *)((u64)place & ~(u64)3);
    const u32 shift = (u32)((u64)place & 3) * 8, mask = (u32){mask} << shift;
    u32 seen = *word, held;
    do {{
        held = seen;
        const {value} current = {load};
        const {memory} next = {store};
        seen = atomicCAS(word, held, (held & ~mask) | ((u32)next << shift & mask));
    }} while (seen != held);
}}
"""


def _atomic(combiner: str, dtype: DType) -> str:
    name, memory, value = f"atomic_{combiner}_{dtype.short}", storage_type(dtype), compute_type(dtype)
    if combiner == "sum" and dtype.itemsize >= 4:
        pointer, added = ("(u64 *)place", "(u64)value") if memory == "i64" else ("place", "value")
        return f"FN void {name}({memory} *place, {value} value) {{ atomicAdd({pointer}, {added}); }}\n"
    combined = stored(apply(_COMBINERS[combiner], [Text("current"), Text("value")], dtype), dtype)
    if dtype.itemsize < 4:
        load = loaded(f"({memory})(held >> shift)", dtype).code
        mask = "0xff" if dtype.itemsize == 1 else "0xffff"
        return _EXCHANGE_WITHIN.format(name=name, memory=memory, value=value, load=load, store=combined, mask=mask)
    word = "u64" if dtype.itemsize == 8 else "u32"
    load, merged = _BITS.get(dtype, (f"({memory})held", f"({word})next"))
    return _EXCHANGE.format(
        name=name,
        memory=memory,
        value=value,
        word=word,
        address=f"({word} *)place",
        load=load,
        store=combined,
        merged=merged,
    )


# A word as a number, and back.
_BITS: Final = {
    float32: ("f32_of_bits(held)", "bits_of_f32(next)"),
    float64: ("__longlong_as_double((i64)held)", "(u64)__double_as_longlong(next)"),
}
ATOMICS: Final = {
    f"atomic_{combiner}_{dtype.short}": _atomic(combiner, dtype)
    for combiner in _COMBINERS
    for dtype in by_short.values()
}
