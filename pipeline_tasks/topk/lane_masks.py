"""Compares 64 scores at once, with the result as the bits of an integer, and prefetches rows.

LLVM compiles the comparison for the CPU (with AVX-512 to four comparisons into mask registers). A plain numba loop
compares again, one score at a time, in every group of 64 with a hit. For 100,000 scores with 450 hits it takes 15 us
instead of 5.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES: Final = 64
"""Scores compared at once. The row length of a tile must be a multiple of it."""


def _type_lanes_reaching(typing: Any, row: Any, start: Any, bound: Any) -> Any:  # noqa: ANN401
    """Return a uint64 in which bit i is set where row[start + i] >= bound.

    `row` must be a contiguous int32 or float32 array of at least start + 64 numbers. This is not checked.
    """
    return types.uint64(row, types.intp, row.dtype), _compare


lanes_reaching: Any = intrinsic(_type_lanes_reaching)


def _compare(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
    array_type = signature.args[0]
    array = context.make_array(array_type)(context, builder, arguments[0])
    lanes = ir.VectorType(context.get_value_type(array_type.dtype), LANES)
    numbers = builder.load(builder.bitcast(builder.gep(array.data, [arguments[1]]), lanes.as_pointer()))
    numbers.align = 4
    nothing, zero = ir.Constant(lanes, ir.Undefined), ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(nothing, arguments[2], zero)
    bounds = builder.shuffle_vector(one, nothing, ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES))
    compare = builder.icmp_signed if isinstance(array_type.dtype, types.Integer) else builder.fcmp_ordered
    return builder.bitcast(compare(">=", numbers, bounds), ir.IntType(LANES))


def _type_lowest_bit(typing: Any, mask: Any) -> Any:  # noqa: ANN401
    """Return the position (uint64) of the lowest set bit. `mask` must not be 0."""

    def count(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), count


lowest_bit: Any = intrinsic(_type_lowest_bit)


def _type_prefetch(typing: Any, rows: Any, row: Any) -> Any:  # noqa: ANN401
    """Prefetch the contiguous `rows[row]` of a 2-d array into the cache. `row` is not checked."""
    return types.void(rows, types.intp), _prefetch


prefetch: Any = intrinsic(_type_prefetch)


def _prefetch(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:  # noqa: ANN401
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    byte, int32 = ir.IntType(8).as_pointer(), ir.IntType(32)
    stride = builder.extract_value(array.strides, 0)
    begin = builder.gep(builder.bitcast(array.data, byte), [builder.mul(stride, arguments[1])])
    kind = ir.FunctionType(ir.VoidType(), [byte, int32, int32, int32])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")  # type: ignore[no-untyped-call]
    options = [ir.Constant(int32, number) for number in (0, 3, 1)]
    zero, line = ir.Constant(stride.type, 0), ir.Constant(stride.type, 64)
    with cgutils.for_range_slice(builder, zero, stride, line, stride.type) as (offset, _):
        builder.call(fetch, [builder.gep(begin, [offset]), *options])
    return context.get_dummy_value()
