"""Vectors of lanes for the inner loops: one state of the net per lane, a row of lanes per load or store.

numba turns a loop over lanes into vector code only behind a test for overlap, which costs more than the loop;
here a row of lanes is one value, as LLVM knows it, and becomes whatever the processor has.
"""

# numba types the functions below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"
# ruff: noqa: ARG001 (the signatures are numba's)

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba import extending, types
from numba.core import cgutils
from numba.extending import models, overload, register_model

from gridedge.grid.engines.buffers import LANES
from gridedge.grid.engines.compiled import compiled

ALIGN = 64  # bytes of a cache line: a row of lanes never straddles two more than it must
_ITEM: dict[Any, Any] = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}
_FAST = ("contract",)
intrinsic: Any = extending.intrinsic


class Lanes(types.Type):
    """The numba type of a row of lanes."""

    def __init__(self, item: types.Float):
        self.item = item
        super().__init__(name=f"Lanes({item})")


_LANES = {item: Lanes(item) for item in _ITEM}


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Lanes):
        super().__init__(manager, kind, ir.VectorType(_ITEM[kind.item], LANES))


def _pointer(context, builder, array_type, array, row):
    data = context.make_array(array_type)(context, builder, array).data
    first = builder.mul(row, ir.Constant(row.type, LANES))
    vector = ir.VectorType(_ITEM[array_type.dtype], LANES)
    return builder.bitcast(builder.gep(data, [first]), vector.as_pointer())


@intrinsic
def load(typing_context, array, row):
    """Return a row of lanes of an array (row, lane) that :func:`rows` made."""
    kind = _LANES[array.dtype]

    def code(context, builder, signature, args):
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        value = builder.load(_pointer(context, builder, signature.args[0], args[0], row))
        value.align = _ITEM_BYTES[array.dtype]
        return value

    return kind(array, row), code


@intrinsic
def store(typing_context, array, row, value):
    """Write a row of lanes into an array (row, lane) that :func:`rows` made."""

    def code(context, builder, signature, args):
        row = context.cast(builder, args[1], signature.args[1], types.intp)
        written = builder.store(args[2], _pointer(context, builder, signature.args[0], args[0], row))
        written.align = _ITEM_BYTES[array.dtype]
        return context.get_dummy_value()

    return types.void(array, row, value), code


_ITEM_BYTES = {types.float64: 8, types.float32: 4}


@intrinsic
def splat(typing_context, x):
    """Return a number in every lane."""
    kind = _LANES[x]

    def code(context, builder, signature, args):
        vector = ir.VectorType(_ITEM[x], LANES)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), args[0], ir.IntType(32)(0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

    return kind(x), code


def _arithmetic(name):
    @intrinsic
    def both(typing_context, a, b):
        def code(context, builder, signature, args):
            return getattr(builder, name)(*args, flags=_FAST)

        return a(a, b), code

    return both


_add, _sub, _mul, _div = (_arithmetic(name) for name in ("fadd", "fsub", "fmul", "fdiv"))


def _operator(symbol, between):
    @overload(symbol)
    def over(a, b):
        if isinstance(a, Lanes) and isinstance(b, Lanes) and a is b:
            return lambda a, b: between(a, b)
        if isinstance(a, Lanes) and b is a.item:
            return lambda a, b: between(a, splat(b))
        if isinstance(b, Lanes) and a is b.item:
            return lambda a, b: between(splat(a), b)
        return None


for _symbol, _between in (
    (operator.add, _add),
    (operator.sub, _sub),
    (operator.mul, _mul),
    (operator.truediv, _div),
):
    _operator(_symbol, _between)


def _unary(llvm_name):
    @intrinsic
    def one(typing_context, a):
        def code(context, builder, signature, args):
            vector = args[0].type
            suffix = f"v{LANES}f{64 if a.item is types.float64 else 32}"
            function = cgutils.get_or_insert_function(
                builder.module, ir.FunctionType(vector, [vector]), f"{llvm_name}.{suffix}"
            )
            return builder.call(function, args)

        return a(a), code

    return one


root = _unary("llvm.sqrt")
magnitude = _unary("llvm.fabs")


def _choice(sign):
    """Return a function that keeps the first of two lanes where the comparison holds, else the second."""

    @intrinsic
    def choose(typing_context, a, b):
        def code(context, builder, signature, args):
            holds = builder.fcmp_ordered(sign, args[0], args[1])
            return builder.select(holds, args[0], args[1])

        return a(a, b), code

    return choose


# Where a lane of the first is not a number, the comparison fails and the second is taken.
smaller = _choice("<")
larger = _choice(">")


@intrinsic
def largest_keeping_nan(typing_context, a, b):
    """Return the larger of two; not a number where either is none."""

    def code(context, builder, signature, args):
        keeps = builder.fcmp_unordered("<=", args[1], args[0])
        nan = builder.fcmp_unordered("uno", args[1], args[1])
        return builder.select(builder.and_(keeps, builder.not_(nan)), args[0], args[1])

    return a(a, b), code


@intrinsic
def number_or_zero(typing_context, a):
    """Return zero where a lane is not a number."""

    def code(context, builder, signature, args):
        zero = ir.Constant(args[0].type, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered("ord", args[0], args[0]), args[0], zero)

    return a(a), code


@intrinsic
def one_where_above(typing_context, a, b):
    """Return 1 in the lanes where the first is above the second, else 0."""

    def code(context, builder, signature, args):
        one = ir.Constant(args[0].type, [1.0] * LANES)
        zero = ir.Constant(args[0].type, [0.0] * LANES)
        return builder.select(builder.fcmp_ordered(">", args[0], args[1]), one, zero)

    return a(a, b), code


@intrinsic
def any_above(typing_context, a, b):
    """Return whether some lane of the first is above the second, or not a number."""

    def code(context, builder, signature, args):
        over = builder.fcmp_unordered(">", args[0], args[1])
        bits = builder.bitcast(over, ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(a, b), code


def _cast(name, target):
    @intrinsic
    def cast(typing_context, a):
        def code(context, builder, signature, args):
            return getattr(builder, name)(args[0], ir.VectorType(_ITEM[target], LANES))

        return _LANES[target](a), code

    return cast


narrow = _cast("fptrunc", types.float32)
widen = _cast("fpext", types.float64)


@compiled
def rows(count, like):
    """Return an uninitialised array (row, lane) whose rows lie on cache lines, of the type of the array ``like``."""
    per_line = ALIGN // like.itemsize
    room = np.empty(count * LANES + per_line, like.dtype)
    first = (-(room.ctypes.data // like.itemsize)) % per_line
    return room[first : first + count * LANES].reshape(count, LANES)
