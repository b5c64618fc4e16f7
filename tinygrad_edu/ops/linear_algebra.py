"""Products of vectors and matrices, and what is made of matrices: inverses, determinants, decompositions.

The one thing to know: a decomposition with several results is an operation for each of them; their cotangents add up,
since a gradient is linear in its cotangents.

Source: M. B. Giles, Collected matrix derivative results for forward and reverse mode algorithmic differentiation, 2008.
"""

from __future__ import annotations

import builtins
import math
import string
from collections.abc import Sequence
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.context import current
from tinygrad_edu.core.operation import Operation, operation
from tinygrad_edu.core.value import Operand, Value, apply, data_of
from tinygrad_edu.ops.arithmetic import absolute, divide, sign
from tinygrad_edu.ops.comparison import greater_mask, kink, not_equal_mask, one_for_zero
from tinygrad_edu.ops.entry import axes_of, each, shape_of, zero_of
from tinygrad_edu.ops.exponential import power
from tinygrad_edu.ops.indexing import add_at, index
from tinygrad_edu.ops.reduction import REDUCED, euclidean_norm, max, min, spread, sum, within_range
from tinygrad_edu.ops.shaping import (
    array,
    broadcast_to,
    diagonal,
    expand_dims,
    moveaxis,
    ravel,
    reshape,
    squeeze,
    transpose,
    tril,
    triu,
)


def _matmul(a: Any, b: Any, /) -> Any:
    """a @ b for vectors, matrices and stacks of matrices. With matrices ∂/∂a = g @ bᵀ and ∂/∂b = aᵀ @ g."""
    try:
        if np.ndim(a) > 2 and np.ndim(b) == 2:
            return np.matmul(for_blas(a.reshape(-1, a.shape[-1])), for_blas(b)).reshape(*a.shape[:-1], b.shape[-1])
        return np.matmul(for_blas(a), for_blas(b))
    except ValueError as error:
        raise ValueError(misfit(np.shape(a), np.shape(b)) or str(error)) from None


def misfit(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    """Why arrays of these shapes have no matrix product; "" where it is for their stacks."""
    if not a or not b:
        return "a number has no axes to multiply along, write * in place of @"
    length = b[-2] if len(b) > 1 else b[0]
    if a[-1] == length:
        return ""
    return f"rows of the first have length {a[-1]}, columns of the second {length}"


def for_blas(x: Any) -> Any:
    """The array, or a copy of it where neither its rows nor its columns lie side by side, as BLAS wants them."""
    return x if np.ndim(x) < 2 or x.size < 256 or lies_well(x) else np.ascontiguousarray(x)


def lies_well(x: Any) -> bool:
    (m, n), (down, across), one = x.shape[-2:], x.strides[-2:], x.itemsize
    return bool((across == one and down >= n * one) or (down == one and across >= m * one))


def _matmul_rule_a(g: Any, out: Any, a: Any, b: Any) -> Any:
    if b.ndim == 1:
        return g * b if a.ndim == 1 else g[..., None] * b
    return matrix_times_vector(b, g) if a.ndim == 1 else g @ swap(b)


def _matmul_rule_b(g: Any, out: Any, a: Any, b: Any) -> Any:
    if a.ndim == 1:
        return g * a if b.ndim == 1 else a[:, None] * g[..., None, :]
    if b.ndim == 1:
        return matrix_times_vector(swap(a), g)
    if a.ndim > 2 and b.ndim == 2:  # all rows of the stack at once
        a, g = a.reshape((-1, a.shape[-1])), g.reshape((-1, g.shape[-1]))
    return times(swap(a), g, like=b)


def printed_product(a: Any, b: Any) -> str | None:
    """A matrix product. Of a matrix and a vector `dot` calls the same routine, in half the time.

    Not so where a side has length 1, or where the numbers don't lie side by side in memory.
    """
    x, y = a.data, b.data
    if np.ndim(x) > 2 or np.ndim(y) > 2 or for_blas(x) is not x or for_blas(y) is not y:
        return None
    same = np.ndim(x) == 2 and np.ndim(y) == 1 and builtins.min(x.shape) > 1 and y.flags.c_contiguous
    same = same and (x.flags.c_contiguous or x.flags.f_contiguous) and x.dtype == y.dtype
    return f"{a}.dot({b})" if same else f"{a} @ {b}"


matmul = operation(
    _matmul,
    (_matmul_rule_a, _matmul_rule_b),
    symbol="@",
    formula="∂(a@b) = ∂a@b + a@∂b",
    shapes="(…, m, k) and (…, k, n) → (…, m, n); vectors (k,) on either side",
    prints=printed_product,
    analytic=True,
)


def swap(x: Any) -> Any:
    """A matrix transposed; of a stack, each matrix."""
    return x.T if x.ndim == 2 else x.transpose((*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def matrix_times_vector(a: Any, v: Any) -> Any:
    """a @ v; of stacks, pair by pair."""
    return a @ v if a.ndim == 2 and v.ndim == 1 else (a @ v[..., None])[..., 0]


def times(a: Any, b: Any, like: Any) -> Any:
    """a @ b, laid out in memory as `like` is, so that weights that entered transposed get a gradient in their order."""
    held: Any = data_of(like)
    layout = held.flags  # which is part of what a recording is made for
    return swap(swap(b) @ swap(a)) if layout.f_contiguous and not layout.c_contiguous else a @ b


def _weighted_sum(bias: Any, /, *weights_and_inputs: Any) -> Any:
    """b + w₀·x₀ + w₁·x₁ + …, added from the left. ∂/∂b = 1, ∂/∂wᵢ = xᵢ, ∂/∂xᵢ = wᵢ. Source: the article's neuron."""
    n = len(weights_and_inputs) // 2
    for i in range(n):
        bias = bias + weights_and_inputs[i] * weights_and_inputs[n + i]
    return bias


def _weighted_sum_rule(g: Any, out: Any, bias: Any, *weights_and_inputs: Any) -> list[Any]:
    n = len(weights_and_inputs) // 2
    cotangents = [g]
    for x in weights_and_inputs[n:]:
        cotangents.append(g * x)
    for weight in weights_and_inputs[:n]:
        cotangents.append(g * weight)
    return cotangents


def printed_weighted_sum(bias: str, *weights_and_inputs: str) -> str | None:
    n = len(weights_and_inputs) // 2
    if n > 1000:  # more than Python's parser takes in one expression
        return None
    products = [f"{w} * {x}" for w, x in zip(weights_and_inputs[:n], weights_and_inputs[n:], strict=True)]
    return " + ".join([bias, *products])


weighted_sum_of = operation(
    _weighted_sum,
    _weighted_sum_rule,
    name="weighted_sum",
    symbol="Σ",
    formula="∂(b + Σwᵢ·xᵢ) = ∂b + Σ(xᵢ·∂wᵢ + wᵢ·∂xᵢ)",
    shapes="numbers: b, n weights and n inputs → a number",
    prints=printed_weighted_sum,
    analytic=True,
)


def weighted_sum(weights: Sequence[Operand], inputs: Sequence[Operand], bias: Operand = 0.0) -> Value:
    """b + w₀·x₀ + w₁·x₁ + …, added one product at a time from the bias on: what a neuron does before its activation.

    Raises:
        ValueError: There are not as many inputs as weights.

    >>> import tinygrad_edu as tg
    >>> w = tg.Value(0.5, name="w")
    >>> z = tg.weighted_sum([w, -1.0], [2.0, 1.0], bias=0.25)
    >>> z.backward()
    >>> z.data, w.grad
    (0.25, 2.0)
    """
    if len(inputs) != len(weights):
        raise ValueError(f"inputs has length {len(inputs)}, but there are {len(weights)} weights")
    total: Value = apply(weighted_sum_of, (bias, *weights, *inputs))
    return total


def _affine(weights: Any, inputs: Any, bias: Any, /) -> Any:
    """W @ x + b for one row, X @ Wᵀ + b for a batch of rows. ∂/∂W = gᵀ @ X, ∂/∂X = g @ W, ∂/∂b = g summed over rows.

    Shapes: W (n_outputs, n_inputs), x (n_inputs,) or X (rows, n_inputs), b (n_outputs,).
    """
    out = weights @ inputs if inputs.ndim == 1 else inputs @ weights.T
    out += bias
    return out


def printed_affine(weights: Any, inputs: Any, bias: Any) -> str | None:
    if not weights.data.dtype == inputs.data.dtype == bias.data.dtype:
        return None  # `out += bias` keeps the dtype that the product has
    product = printed_product(weights, inputs) if inputs.data.ndim == 1 else f"{inputs} @ {weights}.T"
    return f"{product} + {bias}"


affine = operation(
    _affine,
    (
        lambda g, out, weights, inputs, bias: g[:, None] * inputs if inputs.ndim == 1 else g.T @ inputs,
        lambda g, out, weights, inputs, bias: weights.T @ g if inputs.ndim == 1 else g @ weights,
        lambda g, out, weights, inputs, bias: g if inputs.ndim == 1 else g.sum(axis=0),
    ),
    symbol="W·x+b",
    formula="∂(W@x + b) = ∂W@x + W@∂x + ∂b",
    shapes="W (m, n), x (n,) or (rows, n), b (m,) → (m,) or (rows, m)",
    prints=printed_affine,
    analytic=True,
)


def _einsum(*operands: Any, subscripts: str) -> Any:
    """Products of entries, summed over the letters that the result doesn't have.

    ∂/∂xᵢ is the same sum with the cotangent in the place of xᵢ and the letters of xᵢ as result.
    """
    return np.einsum(subscripts, *operands) if len(operands) == 1 else contracted(subscripts, operands)


def contracted(subscripts: str, operands: Sequence[Any]) -> Any:
    """The operands multiplied and summed two by two, in numpy's order of least work, by matrix products."""
    terms, result = subscripts.split("->")
    letters, left = terms.split(","), list(operands)
    sizes: dict[str, set[int]] = {}
    for term, x in zip(letters, left, strict=True):
        for c, n in zip(term, np.shape(x), strict=True):
            sizes.setdefault(c, set()).add(n)
    work = math.prod(builtins.max(n) for n in sizes.values())
    if work < 4096 or any(len(n) > 1 for n in sizes.values()) or any(len(set(t)) < len(t) for t in letters):
        return np.einsum(subscripts, *operands)  # small, or with stretched axes or diagonals
    path = np.einsum_path(subscripts, *operands, optimize=("greedy", 2**62))[0][1:] if len(left) > 2 else [(0, 1)]
    if any(len(step) != 2 for step in path):
        path = [(0, 1)] * (len(left) - 1)
    for i, j in (sorted(step) for step in path):
        b, a = left.pop(j), left.pop(i)
        term_b, term_a = letters.pop(j), letters.pop(i)
        needed = set(result).union(*letters)
        out = result if not left else "".join(c for c in dict.fromkeys(term_a + term_b) if c in needed)
        left.append(pair_product(a, term_a, b, term_b, out))
        letters.append(out)
    return left[0]


def pair_product(a: Any, term_a: str, b: Any, term_b: str, result: str) -> Any:
    """Two operands as one product of (stacks of) matrices: letters of both that stay, that are summed, and of each."""
    a, term_a = without_letters(a, term_a, set(term_b + result))
    b, term_b = without_letters(b, term_b, set(term_a + result))
    stacked = [c for c in term_a if c in term_b and c in result]
    summed = [c for c in term_a if c in term_b and c not in result]
    rows, columns = [c for c in term_a if c not in term_b], [c for c in term_b if c not in term_a]
    size = dict(zip(term_a + term_b, a.shape + b.shape, strict=True))

    def as_matrix(x: Any, term: str, *parts: list[str]) -> Any:
        order = [term.index(c) for part in (stacked, *parts) for c in part]
        lengths = [math.prod(size[c] for c in part) for part in parts]
        return x.transpose(order).reshape([*(size[c] for c in stacked), *lengths])

    product = _matmul(as_matrix(a, term_a, rows, summed), as_matrix(b, term_b, summed, columns))
    order = [*stacked, *rows, *columns]
    return product.reshape([size[c] for c in order]).transpose([order.index(c) for c in result])


def without_letters(x: Any, term: str, needed: set[str]) -> tuple[Any, str]:
    """An operand summed over the letters that only it has."""
    axes = tuple(i for i, c in enumerate(term) if c not in needed)
    return (np.sum(x, axis=axes), "".join(c for c in term if c in needed)) if axes else (x, term)


def _einsum_rule(i: int, g: Any, out: Any, *operands: Any, subscripts: str) -> Any:
    inputs, result = subscripts.split("->")
    letters = inputs.split(",")
    own, shape = letters[i], shape_of(operands[i])
    others = [k for k in range(len(operands)) if k != i]
    elsewhere = set(result).union(*(letters[k] for k in others))
    distinct = list(dict.fromkeys(own))
    known = "".join(c for c in distinct if c in elsewhere)
    terms = ",".join([result, *(letters[k] for k in others)])
    part = apply(einsum_of, (g, *(operands[k] for k in others)), {"subscripts": f"{terms}->{known}"})
    sizes = dict(zip(own, shape, strict=True))
    for c, n in (pair for k in others for pair in zip(letters[k], shape_of(operands[k]), strict=True)):
        sizes[c] = n if sizes.get(c, 1) == 1 and c in sizes else sizes.get(c, n)  # a 1 that broadcasting stretched
    part = reshape(part, shape=tuple(shape_of(part)[known.index(c)] if c in known else 1 for c in distinct))
    part = broadcast_to(part, shape=tuple(sizes[c] for c in distinct))
    if len(distinct) == len(own):
        return part
    places = np.ix_(*(np.arange(sizes[c]) for c in distinct))
    return add_at(part, key=tuple(places[distinct.index(c)] for c in own), shape=shape)


einsum_of: Operation = operation(
    _einsum,
    each(_einsum_rule),
    name="einsum",
    formula="∂Σ Πxᵢ = Σᵢ Σ (Πₖ≠ᵢ xₖ)·∂xᵢ",
    shapes="as the subscripts say",
    analytic=True,
)


def einsum(subscripts: Any, *operands: Any, optimize: Any = None) -> Any:
    """As `np.einsum`: any subscripts, with repeated letters or operands, and `...`; or lists of whole numbers, as
    in `einsum(a, [0, 1], b, [1, 2], [0, 2])`. Large ones run as matrix products, in the order of least work (so
    `optimize` changes nothing).

    Raises:
        ValueError: Subscripts that don't fit the operands.
    """
    if not isinstance(subscripts, str):
        subscripts, operands = from_lists((subscripts, *operands))
    shapes = [np.shape(data_of(x)) for x in operands]
    return apply(einsum_of, operands, {"subscripts": explicit(subscripts.replace(" ", ""), shapes)})


def from_lists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Operands and lists of whole numbers by turns as subscripts and operands."""
    operands, lists = arguments[0 : len(arguments) // 2 * 2 : 2], [list(x) for x in arguments[1::2]]
    numbers = sorted({k for term in lists for k in term if k is not Ellipsis})
    if len(arguments) % 2:
        result = list(arguments[-1])
    else:
        once = [k for k in numbers if builtins.sum(term.count(k) for term in lists) == 1]
        result = [Ellipsis] * any(Ellipsis in term for term in lists) + once
    letter = {k: string.ascii_letters[i] for i, k in enumerate(dict.fromkeys([*numbers, *result])) if k is not Ellipsis}
    terms = ["".join("..." if k is Ellipsis else letter[k] for k in term) for term in (*lists, result)]
    return ",".join(terms[:-1]) + "->" + terms[-1], operands


def explicit(subscripts: str, shapes: Sequence[tuple[int, ...]]) -> str:
    """Subscripts with their result written out, and letters in the place of `...`."""
    inputs, arrow, result = subscripts.partition("->")
    terms = inputs.split(",")
    if len(terms) != len(shapes):
        raise ValueError(f"einsum: subscripts {subscripts!r} name {len(terms)} operands, but {len(shapes)} were given")
    free = [c for c in string.ascii_letters if c not in subscripts]
    hidden = [len(s) - len(t.replace("...", "")) if "..." in t else 0 for t, s in zip(terms, shapes, strict=True)]
    for term, shape, extra in zip(terms, shapes, hidden, strict=True):
        if extra < 0 or ("..." not in term and len(term) != len(shape)):
            raise ValueError(f"einsum: subscripts {term!r} don't fit an operand of shape {shape}")
    longest = free[: builtins.max(hidden, default=0)]
    terms = [t.replace("...", "".join(longest[len(longest) - n :])) for t, n in zip(terms, hidden, strict=True)]
    if not arrow:
        once = sorted(c for c in set("".join(terms)) if "".join(terms).count(c) == 1 and c not in longest)
        result = "".join([*longest, *once])
    return ",".join(terms) + "->" + result.replace("...", "".join(longest))


def linalg_trace(x: Any, offset: int = 0) -> Any:
    """The sum of a diagonal of each matrix, as `np.linalg.trace`."""
    return linalg_diagonal(x, offset).sum(axis=-1)


def linalg_diagonal(x: Any, offset: int = 0) -> Any:
    """A diagonal of each matrix, as `np.linalg.diagonal`."""
    return diagonal(x, offset=offset, axis1=-2, axis2=-1)


def vector_norm(x: Any, axis: Any = None, ord: Any = 2, keepdims: bool = False) -> Any:
    """The norm over the axes, of all numbers where None, as `np.linalg.vector_norm`."""
    x = array(x)
    if axis is None:
        out = norm(ravel(x), ord)
        return reshape(out, shape=(1,) * x.ndim) if keepdims else out
    if not isinstance(axis, tuple):
        return norm(x, ord, axis=axis, keepdims=keepdims)
    axes = axes_of(axis, x.ndim)
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    rows = reshape(transpose(x, axes=(*kept, *axes)), shape=(*(x.shape[a] for a in kept), -1))
    out = norm(rows, ord, axis=-1)
    return reshape(out, shape=tuple(1 if a in axes else n for a, n in enumerate(x.shape))) if keepdims else out


def matrix_norm(x: Any, ord: Any = "fro", keepdims: bool = False) -> Any:
    """The norm of each matrix, as `np.linalg.matrix_norm`."""
    return norm(x, ord, axis=(-2, -1), keepdims=keepdims)


def cond(x: Any, p: Any = None) -> Any:
    """How far a matrix magnifies errors: ‖x‖·‖x⁻¹‖, for None or 2 the largest over the smallest singular value."""
    if p in (None, 2, -2):
        s = svd_s(x)
        return s[..., 0] / s[..., -1] if p != -2 else s[..., -1] / s[..., 0]
    return norm(x, p, axis=(-2, -1)) * norm(inv(x), p, axis=(-2, -1))


def multi_dot(arrays: Any) -> Any:
    """a @ b @ c @ …, from the left. Raises ValueError for fewer than two."""
    parts = [array(x) for x in arrays]
    if len(parts) < 2:
        raise ValueError(f"multi_dot needs two matrices or more, got {len(parts)}")
    return reduce(matmul, parts)


def vecdot(a: Any, b: Any, axis: int = -1) -> Any:
    """Products summed over an axis of both."""
    return sum(array(a) * array(b), axis=axis)


def cross(a: Any, b: Any, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None) -> Any:
    """The vector product of vectors with three entries, as `np.cross`.

    Raises:
        ValueError: The vectors haven't three entries.
    """
    if axis is not None:
        axisa = axisb = axisc = axis
    a, b = moveaxis(array(a), axisa, -1), moveaxis(array(b), axisb, -1)
    if a.shape[-1] != 3 or b.shape[-1] != 3:
        raise ValueError(f"cross: vectors must have three entries, got {a.shape[-1]} and {b.shape[-1]}")
    ahead, behind = [1, 2, 0], [2, 0, 1]
    product = a[..., ahead] * b[..., behind] - a[..., behind] * b[..., ahead]
    return moveaxis(product, -1, axisc)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Products summed over pairs of axes: the last n of a with the first n of b, or the two lists of axes named."""
    dims_a, dims_b = np.ndim(data_of(a)), np.ndim(data_of(b))
    if isinstance(axes, (int, np.integer)):
        pairs = [(dims_a - axes + i, i) for i in range(axes)]
    else:
        first, second = ([axis] if isinstance(axis, (int, np.integer)) else list(axis) for axis in axes)
        pairs = [(p % dims_a, q % dims_b) for p, q in zip(first, second, strict=True)]
    letters_a = list(string.ascii_letters[:dims_a])
    letters_b = list(string.ascii_letters[dims_a : dims_a + dims_b])
    for p, q in pairs:
        letters_b[q] = letters_a[p]
    summed = {letters_a[p] for p, _ in pairs}
    result = [c for c in letters_a + letters_b if c not in summed]
    return einsum(f"{''.join(letters_a)},{''.join(letters_b)}->{''.join(result)}", a, b)


def inner(a: Any, b: Any) -> Any:
    """Products summed over the last axes; of scalars the product."""
    if np.ndim(data_of(a)) == 0 or np.ndim(data_of(b)) == 0:
        return a * b
    return tensordot(a, b, axes=([-1], [-1]))


def dot(a: Any, b: Any) -> Any:
    """As `np.dot`: of vectors the inner product, of matrices `@`, with a scalar the product."""
    dims_a, dims_b = np.ndim(data_of(a)), np.ndim(data_of(b))
    if dims_a == 0 or dims_b == 0:
        return a * b
    if dims_a <= 2 and dims_b <= 2:
        return matmul(a, b)
    return tensordot(a, b, axes=([-1], [-1 if dims_b == 1 else -2]))


def vdot(a: Any, b: Any) -> Any:
    """The inner product of all numbers of a and b."""
    return matmul(ravel(a), ravel(b))


def _inv(a: Any, /) -> Any:
    """The inverse matrix. ∂a⁻¹ = -a⁻¹ @ ∂a @ a⁻¹."""
    return np.linalg.inv(a)


inv = operation(
    _inv,
    (lambda g, out, a: -(swap(out) @ g @ swap(out)),),
    symbol="⁻¹",
    formula="∂a⁻¹ = −a⁻¹@∂a@a⁻¹",
    shapes="(…, n, n) → the same",
    analytic=True,
)


def _solve(a: Any, b: Any, /) -> Any:
    """The x with a @ x = b, b a vector (one for a whole stack) or matrices of columns. ∂x = a⁻¹ @ (∂b - ∂a @ x)."""
    return np.linalg.solve(a, b)


def _solve_rule(g: Any, out: Any, a: Any, b: Any) -> tuple[Any, Any]:
    if b.ndim == 1:  # one vector, for each matrix of a stack
        to_b = solve(swap(a), g) if g.ndim == 1 else solve(swap(a), g[..., None])[..., 0]
        return -(to_b[..., :, None] * out[..., None, :]), to_b
    to_b = solve(swap(a), g)
    return -(to_b @ swap(out)), to_b


solve: Operation = operation(
    _solve,
    _solve_rule,
    formula="∂x = a⁻¹@(∂b − ∂a@x)",
    shapes="(…, n, n) and (n,) or (…, n, k) → that of the second",
    analytic=True,
)


def _pinv(a: Any, /) -> Any:
    """The pseudo-inverse p, while the rank stays. ∂p = -p∂ap + ppᵀ∂aᵀ(1-ap) + (1-pa)∂aᵀpᵀp.

    Source: Golub and Pereyra, 1973.
    """
    return np.linalg.pinv(a)


def _pinv_rule(g: Any, p: Any, a: Any) -> Any:
    left, right = np.eye(a.shape[-2]) - a @ p, np.eye(a.shape[-1]) - p @ a
    return -(swap(p) @ g @ swap(p)) + left @ swap(g) @ p @ swap(p) + swap(p) @ p @ swap(g) @ right


pinv = operation(
    _pinv,
    (_pinv_rule,),
    symbol="⁺",
    formula="∂p = −p∂ap + ppᵀ∂aᵀ(1−ap) + (1−pa)∂aᵀpᵀp",
    analytic=False,
    shapes="(…, m, n) → (…, n, m)",
)


def _det(a: Any, /) -> Any:
    """The determinant. ∂/∂a is the matrix of cofactors, det(a)·a⁻ᵀ where a has an inverse."""
    return np.linalg.det(a)


det: Operation = operation(
    _det,
    (lambda g, out, a: g[..., None, None] * cofactors(a),),
    symbol="det",
    formula="∂det(a) = Σ cofᵢⱼ(a)·∂aᵢⱼ",
    shapes="(…, n, n) → (…)",
    analytic=True,
)


def _cofactors(a: Any, /) -> Any:
    """The cofactors: at [i, j] the determinant without row i and column j, negative where i + j is odd.

    ∂ is the sum of the same over the minors; of matrices larger than 8 x 8, which must then have an inverse, that of
    det(a)·a⁻ᵀ. Where a is singular or nearly so, they are computed from a = u·s·vᵀ as det(u)·det(v)·u·cof(s)·vᵀ.
    """
    a = np.asarray(a)
    if not a.size:
        return np.zeros_like(a)
    try:
        inverse = np.linalg.inv(a)
    except np.linalg.LinAlgError:
        return cofactors_by_svd(a)
    well = np.linalg.norm(a, 1, axis=(-2, -1)) * np.linalg.norm(inverse, 1, axis=(-2, -1)) < 1e6
    out = np.linalg.det(a)[..., None, None] * np.swapaxes(inverse, -1, -2)
    return out if np.all(well) else np.where(well[..., None, None], out, cofactors_by_svd(a))


def cofactors_by_svd(a: Any) -> Any:
    u, s, v = np.linalg.svd(a)
    others = np.where(np.eye(s.shape[-1], dtype=bool), 1.0, s[..., None, :]).prod(axis=-1)
    signs = np.linalg.det(u) * np.linalg.det(v)
    return (signs[..., None, None] * ((u * others[..., None, :]) @ v)).astype(a.dtype, copy=False)


def _cofactors_rule(g: Any, out: Any, a: Any) -> Any:
    n = a.shape[-1]
    if n > 8:
        inverse = swap(inv(a))
        inner = sum(g * out, axis=(-2, -1), keepdims=True)
        return inner * inverse - inverse @ swap(g) @ out
    if n < 2:
        return zero_of(a)
    key = minors_of(n)
    signs = np.where(np.add.outer(np.arange(n), np.arange(n)) % 2, -1.0, 1.0).astype(a.dtype)
    return add_at((g * signs)[..., None, None] * cofactors(index(a, key=key)), key=key, shape=a.shape)


def minors_of(n: int) -> tuple[Any, ...]:
    """The key of all minors of a matrix: at [i, j] the matrix without row i and column j."""
    kept = np.array([[k for k in range(n) if k != i] for i in range(n)])
    return (Ellipsis, kept[:, None, :, None], kept[None, :, None, :])


cofactors: Operation = operation(
    _cofactors,
    (_cofactors_rule,),
    symbol="cof",
    formula="∂cofᵢⱼ(a) = Σ ±cof(a without i, j)·∂a",
    shapes="(…, n, n) → the same",
)


def _log_abs_det(a: Any, /) -> Any:
    """log |det(a)|. ∂/∂a = a⁻ᵀ."""
    return np.linalg.slogdet(a)[1]


log_abs_det = operation(
    _log_abs_det,
    (lambda g, out, a: g[..., None, None] * swap(inv(a)),),
    name="slogdet",
    symbol="log|det|",
    formula="∂log|det(a)| = tr(a⁻¹∂a)",
    analytic=False,
    shapes="(…, n, n) → (…)",
)


class SignAndLog(NamedTuple):
    """What `slogdet` gives."""

    sign: Any
    logabsdet: Any


def slogdet(a: Any) -> SignAndLog:
    """The sign of the determinant, which has no gradient, and the logarithm of its absolute value."""
    return SignAndLog(det_sign(a), log_abs_det(a))


def _det_sign(a: Any, /) -> Any:
    """The sign of the determinant: -1, 0 or 1. ∂/∂a = 0: it is constant between its jumps."""
    return np.linalg.slogdet(a)[0]


det_sign = operation(
    _det_sign,
    (None,),
    name="sign of det",
    formula="∂sign(det(a)) = 0",
    shapes="(…, n, n) → (…)",
)


def _cholesky(a: Any, /) -> Any:
    """The lower triangular l with l @ lᵀ = a, for a symmetric and positive definite. ∂l = l·Φ(l⁻¹∂al⁻ᵀ).

    Φ takes the lower half of a matrix, and half of its diagonal. As numpy's, it reads the lower triangle only, which
    stands for both: the gradient is in that triangle.
    """
    return np.linalg.cholesky(a)


def _cholesky_rule(g: Any, l: Any, a: Any) -> Any:  # noqa: E741 - its name in every textbook
    middle = half_diagonal(tril(swap(l) @ g))
    inverse = inv(l)
    return one_triangle(swap(inverse) @ middle @ inverse)


def one_triangle(x: Any, upper: bool = False) -> Any:
    """The gradient of a symmetric matrix of which only one triangle is read: what the other would get is added."""
    half = (triu if upper else tril)(x + swap(x))
    return half - x * np.eye(x.shape[-1], dtype=x.dtype)


def half_diagonal(x: Any) -> Any:
    """The matrix with its diagonal halved."""
    return x * (1.0 - 0.5 * np.eye(x.shape[-1]))


cholesky = operation(
    _cholesky,
    (_cholesky_rule,),
    formula="∂l = l·Φ(l⁻¹∂al⁻ᵀ)",
    analytic=False,
    shapes="(…, n, n) → the same",
)


def _eigh_values(a: Any, /, UPLO: Any = "L") -> Any:
    """The eigenvalues of a symmetric matrix, ascending. ∂λᵢ = vᵢᵀ∂avᵢ.

    As numpy's, it reads one triangle only, the lower or with UPLO="U" the upper, which stands for both: the gradient
    is in that triangle.
    """
    return np.linalg.eigh(a, UPLO)[0]


def _eigh_values_rule(g: Any, out: Any, a: Any, UPLO: Any = "L") -> Any:
    vectors = eigh_vectors(a, UPLO=UPLO)
    return one_triangle((vectors * g[..., None, :]) @ swap(vectors), upper=UPLO in "uU")


eigh_values = operation(
    _eigh_values,
    (_eigh_values_rule,),
    name="eigh λ",
    symbol="λ",
    formula="∂λᵢ = vᵢᵀ∂avᵢ",
    analytic=False,
    shapes="(…, n, n) → (…, n)",
)


def _eigh_vectors(a: Any, /, UPLO: Any = "L") -> Any:
    """Their eigenvectors, as columns. ∂vᵢ = Σⱼ≠ᵢ vⱼ·(vⱼᵀ∂avᵢ)/(λᵢ - λⱼ), for eigenvalues that differ."""
    return np.linalg.eigh(a, UPLO)[1]


def _eigh_vectors_rule(g: Any, vectors: Any, a: Any, UPLO: Any = "L") -> Any:
    gaps = inverse_gaps(eigh_values(a, UPLO=UPLO))
    s = vectors @ (gaps * (swap(vectors) @ g)) @ swap(vectors)
    return one_triangle(0.5 * (s + swap(s)), upper=UPLO in "uU")


def inverse_gaps(values: Any) -> Any:
    """1/(λⱼ - λᵢ) at [i, j], 0 on the diagonal."""
    eye = np.eye(values.shape[-1])
    return divide(1.0 - eye, values[..., None, :] - values[..., :, None] + eye)


eigh_vectors: Operation = operation(
    _eigh_vectors,
    (_eigh_vectors_rule,),
    name="eigh v",
    symbol="v",
    formula="∂vᵢ = Σⱼ≠ᵢ vⱼ·(vⱼᵀ∂avᵢ)/(λᵢ − λⱼ)",
    analytic=False,
    shapes="(…, n, n) → the same",
)


class Eigen(NamedTuple):
    """What `eigh` gives."""

    eigenvalues: Any
    eigenvectors: Any


def eigh(a: Any, UPLO: Any = "L") -> Eigen:
    """Eigenvalues, ascending, and eigenvectors as columns, of a symmetric matrix: as numpy's, of one triangle of it.

    The lower one is read or, with UPLO="U", the upper; the gradient is in that triangle.
    """
    return Eigen(eigh_values(a, UPLO=UPLO), eigh_vectors(a, UPLO=UPLO))


def _eigvalsh(a: Any, /, UPLO: Any = "L") -> Any:
    """The eigenvalues alone, ascending: those of `eigh`, by a quicker way. ∂λᵢ = vᵢᵀ∂avᵢ."""
    return np.linalg.eigvalsh(a, UPLO)


eigvalsh = operation(
    _eigvalsh,
    (_eigh_values_rule,),
    symbol="λ",
    formula="∂λᵢ = vᵢᵀ∂avᵢ",
    shapes="(…, n, n) → (…, n)",
)


def _qr_q(a: Any, /) -> Any:
    """The q of a = q @ r with orthonormal columns, for a at least as high as wide. Its ∂ as in Walter, Lehmann 2018."""
    return np.linalg.qr(a)[0]


def _qr_r(a: Any, /) -> Any:
    """The upper triangular r of a = q @ r, for a at least as high as wide. Its ∂ as in Walter, Lehmann 2018."""
    return np.linalg.qr(a)[1]


def qr_cotangent(a: Any, q: Any, r: Any, to_q: Any, to_r: Any) -> Any:
    """(gq + q @ s) @ r⁻ᵀ, where s is the lower half of r @ grᵀ - gqᵀ @ q, mirrored."""
    if a.shape[-2] < a.shape[-1]:
        raise ValueError(f"qr: gradients need a matrix at least as high as wide, got shape {a.shape}")
    m = (0.0 if to_r is None else r @ swap(to_r)) - (0.0 if to_q is None else swap(to_q) @ q)
    lower = tril(m)
    mirrored = lower + swap(lower) - lower * np.eye(a.shape[-1])
    left = q @ mirrored if to_q is None else to_q + q @ mirrored
    return swap(solve(r, swap(left)))


qr_q: Operation = operation(
    _qr_q,
    (lambda g, q, a: qr_cotangent(a, q, qr_r(a), g, None),),
    name="qr q",
    symbol="q",
    formula="∂(q@r) = ∂q@r + q@∂r",
    analytic=False,
    shapes="(…, m, n), m ≥ n → the same",
)
qr_r: Operation = operation(
    _qr_r,
    (lambda g, r, a: qr_cotangent(a, qr_q(a), r, None, g),),
    name="qr r",
    symbol="r",
    formula="∂(q@r) = ∂q@r + q@∂r",
    analytic=False,
    shapes="(…, m, n), m ≥ n → (…, n, n)",
)


class QR(NamedTuple):
    """What `qr` gives."""

    Q: Any
    R: Any


def qr(a: Any, mode: str = "reduced") -> Any:
    """a = q @ r, q with orthonormal columns, r upper triangular; with mode="r" r alone.

    Raises:
        ValueError: Another mode than "reduced" and "r": the columns that "complete" adds have no derivative.
    """
    if mode not in ("reduced", "r"):
        raise ValueError(f'qr: mode must be "reduced" or "r", got {mode!r}')
    return qr_r(a) if mode == "r" else QR(qr_q(a), qr_r(a))


def _svd_u(a: Any, /) -> Any:
    """The left singular vectors, as columns. Their ∂ as in Giles 2008, for singular values that differ."""
    return np.linalg.svd(a, full_matrices=False)[0]


def _svd_s(a: Any, /) -> Any:
    """The singular values, descending. ∂sᵢ = uᵢᵀ∂avᵢ, by convention 0 for one that is 0 to rounding, as of |x|; where
    its cotangent is 0 too, as that of sᵢ² is, second derivatives are nan.
    """
    return np.linalg.svd(a, full_matrices=False)[1]


def _svd_v(a: Any, /) -> Any:
    """The right singular vectors, as rows. Their ∂ as in Giles 2008, for singular values that differ."""
    return np.linalg.svd(a, full_matrices=False)[2]


def _svd_u_rule(g: Any, u: Any, a: Any) -> Any:
    s, v = svd_s(a), swap(svd_v(a))
    return svd_vectors_cotangent(g, u, s, v)


def _svd_v_rule(g: Any, out: Any, a: Any) -> Any:
    u, s, v = svd_u(a), svd_s(a), swap(out)
    return swap(svd_vectors_cotangent(swap(g), v, s, u))


def svd_vectors_cotangent(g: Any, u: Any, s: Any, v: Any) -> Any:
    """From the cotangent of u in a = u·s·vᵀ; with u and v exchanged, that of v in aᵀ."""
    inside = inverse_gaps(s * s) * (swap(u) @ g)
    result = u @ ((inside + swap(inside)) * s[..., None, :]) @ swap(v)
    if u.shape[-2] > u.shape[-1]:
        outside = g - u @ (swap(u) @ g)
        result = result + divide(outside, s[..., None, :]) @ swap(v)
    return result


def not_zero(s: Any, a: Any) -> Any:
    """1 for numbers, one for each singular value of a, that are more than rounding leaves of 0, else 0."""
    return greater_mask(s, max(s, axis=-1, keepdims=True) * (builtins.max(a.shape[-2:]) * float(np.finfo(a.dtype).eps)))


def _svd_s_rule(g: Any, out: Any, a: Any) -> Any:
    if 0 in shape_of(out):
        return zero_of(a)
    kept = not_zero(out, a)
    slopes = kink(g, kept, out, kept + not_zero(absolute(g), a))  # as σ² at 0, of which kept makes a second slope of 0
    return (svd_u(a) * slopes[..., None, :]) @ svd_v(a)


svd_u: Operation = operation(
    _svd_u,
    (_svd_u_rule,),
    name="svd u",
    symbol="u",
    formula="∂a = ∂u·s·vᵀ + u·∂s·vᵀ + u·s·∂vᵀ",
    analytic=False,
    shapes="(…, m, n) → (…, m, k), k the smaller of m and n",
)
svd_s: Operation = operation(
    _svd_s,
    (_svd_s_rule,),
    name="svd s",
    symbol="s",
    formula="∂sᵢ = uᵢᵀ∂avᵢ",
    analytic=False,
    shapes="(…, m, n) → (…, k)",
)
svd_v: Operation = operation(
    _svd_v,
    (_svd_v_rule,),
    name="svd vᵀ",
    symbol="vᵀ",
    formula="∂a = ∂u·s·vᵀ + u·∂s·vᵀ + u·s·∂vᵀ",
    analytic=False,
    shapes="(…, m, n) → (…, k, n)",
)


class SVD(NamedTuple):
    """What `svd` gives."""

    U: Any
    S: Any
    Vh: Any


def svd(a: Any, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """a = u @ diag(s) @ vᵀ, reduced; s alone with compute_uv=False.

    Raises:
        ValueError: full_matrices is asked for, whose extra columns have no derivative.
    """
    if not compute_uv:
        return svd_s(a)
    if full_matrices:
        raise ValueError(
            "svd: full_matrices=True has no gradient, and is numpy's default: write full_matrices=False, or "
            "np.linalg.svdvals for s alone"
        )
    return SVD(svd_u(a), svd_s(a), svd_v(a))


def svdvals(a: Any) -> Any:
    """The singular values, descending: those of `svd`."""
    return svd_s(a)


def _lstsq_part(a: Any, b: Any, /, part: int, rcond: float | None = None) -> Any:
    """Residuals (part 1), rank (2) or singular values (3) of a least squares problem, as `np.linalg.lstsq` has them.

    Of r = ‖a @ x - b‖² it is ∂r/∂b = 2(b - a @ x) and ∂r/∂a = -2(b - a @ x) xᵀ: by x the slope is 0 at the least.
    A rank has no gradient.
    """
    found = np.linalg.lstsq(a, b, rcond=rcond)
    if rcond is not None and found[2] != np.linalg.lstsq(a, b)[2]:
        raise ValueError(
            f"rcond={rcond} leaves out singular values, of which the gradient is not supported: leave them out "
            "yourself, in x = v.T @ ((u.T @ b) / s) of the svd of a"
        )
    return np.asarray(found[part], dtype=np.result_type(a, b))


def _lstsq_part_by_a(g: Any, out: Any, a: Any, b: Any, part: int, rcond: float | None = None) -> Any:
    if part == 2 or 0 in shape_of(out):
        return None
    if part == 3:
        u, _, vt = svd(a, full_matrices=False)
        return (u * g) @ vt
    x = pinv(a) @ b
    left = b - a @ x
    return -2.0 * g * left[:, None] * x if len(shape_of(b)) == 1 else -2.0 * (left * g) @ x.T


def _lstsq_part_by_b(g: Any, out: Any, a: Any, b: Any, part: int, rcond: float | None = None) -> Any:
    return 2.0 * g * (b - a @ (pinv(a) @ b)) if part == 1 and 0 not in shape_of(out) else None


lstsq_part = operation(
    _lstsq_part,
    (_lstsq_part_by_a, _lstsq_part_by_b),
    name="lstsq part",
    formula="∂‖a·x - b‖² = 2(b - a·x)·(∂b - ∂a·x)",
    shapes="(m, n) and (m,) or (m, k) → as np.linalg.lstsq has them",
)


def lstsq(a: Any, b: Any, rcond: float | None = None) -> tuple[Any, Any, Any, Any]:
    """The x for which ‖a @ x - b‖ is least, as pinv(a) @ b, the sums of squared residuals, rank, and singular values.

    Residuals are given where numpy gives them, for more equations than unknowns and full rank. A rank has no gradient.
    """
    _, residuals, rank, singular = (lstsq_part(a, b, part=part, rcond=rcond) if part else None for part in range(4))
    return pinv(a) @ b, residuals, rank if current()[2] is not None else int(data_of(rank)), singular


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """The norm of vectors or matrices, as `np.linalg.norm`.

    Of vectors (Σ|xᵢ|ᵖ)^(1/p) for the order p, None being 2; inf and -inf: the largest and the smallest |xᵢ|; 0: how
    many aren't 0, whose derivative is 0. Of matrices "fro" or None: √Σxᵢⱼ²; "nuc", 2 and -2: the sum, the largest and
    the smallest of the singular values; 1, -1, inf, -inf: the largest and smallest sum of |xᵢⱼ| in a column or row.
    ∂ is by convention 0 where all are 0.

    Raises:
        ValueError: There is no norm of that order.
    """
    x = array(x)
    n_axes = np.ndim(data_of(x)) if axis is None else np.size(axis)
    if ord is None or (ord == "fro" and n_axes == 2) or (ord == 2 and n_axes == 1):
        return euclidean_norm(x, axis=axis, keepdims=keepdims)
    if n_axes == 2:
        return matrix_norm_of(x, ord, (0, 1) if axis is None else axis, keepdims)
    if n_axes != 1 or isinstance(ord, str):
        raise ValueError(f"norm: there is no norm of order {ord!r} over {n_axes} axes")
    if np.isinf(ord):
        return (max if ord > 0 else min)(absolute(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(not_equal_mask(x, 0.0), axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum(absolute(x), axis=axis, keepdims=keepdims)
    return p_norm(x, p=float(ord), axis=axis, keepdims=keepdims)


def matrix_norm_of(x: Any, ord: Any, axes: Any, keepdims: bool) -> Any:
    rows, columns = axes_of(tuple(axes), np.ndim(data_of(x)))
    if ord in (1, -1, np.inf, -np.inf):
        summed, other = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = sum(absolute(x), axis=summed, keepdims=True)
        out = (max if ord > 0 else min)(sums, axis=other, keepdims=True)
    elif ord in (2, -2, "nuc"):
        singular = svd_s(moveaxis(x, (rows, columns), (-2, -1)))
        out = {2: max, -2: min, "nuc": sum}[ord](singular, axis=-1)
        return expand_dims(out, tuple(sorted((rows, columns)))) if keepdims else out
    else:
        raise ValueError(f"norm: there is no norm of matrices of order {ord!r}")
    return out if keepdims else squeeze(out, axis=(rows, columns))


def _p_norm(x: Any, /, p: float, axis: Any = None, keepdims: bool = False) -> Any:
    """(Σ|xᵢ|ᵖ)^(1/p) over the axes. ∂/∂xᵢ = sign(xᵢ)·(|xᵢ|/‖x‖)ᵖ⁻¹, by convention 0 where the norm is 0; second
    derivatives are nan there. For a negative p, an xᵢ that is 0 makes the norm 0: its slope is nan, others have 0.
    """
    return np.sum(np.abs(x) ** p, axis=axis, keepdims=keepdims) ** (1.0 / p)


def _p_norm_rule(g: Any, out: Any, x: Any, p: float, axis: Any = None, keepdims: bool = False) -> Any:
    x, out = within_range(partial(p_norm, p=p), x, out, p, axis=axis, keepdims=keepdims)
    length = spread(out, x, axis, keepdims)
    slope = sign(x) * power(divide(absolute(x), one_for_zero(length) if p > 0.0 else length), p - 1.0)
    return kink(spread(g, x, axis, keepdims), slope, x, length)


p_norm: Operation = operation(
    _p_norm,
    (_p_norm_rule,),
    name="norm p",
    symbol="‖·‖ₚ",
    formula="∂‖x‖ = Σ sign(xᵢ)·(|xᵢ|/‖x‖)ᵖ⁻¹·∂xᵢ",
    shapes=REDUCED,
)


def matrix_power(a: Any, n: int) -> Any:
    """a @ a @ …, n times, by repeated squaring; of the inverse for a negative n.

    Raises:
        ValueError: a isn't square, or n isn't a whole number.
    """
    shape = np.shape(data_of(a))
    if len(shape) < 2 or shape[-1] != shape[-2] or not isinstance(n, (int, np.integer)):
        raise ValueError(f"matrix_power needs a square matrix and a whole number, got shape {shape} and {n!r}")
    if n < 0:
        a, n = inv(a), -n
    result = np.broadcast_to(np.eye(shape[-1], dtype=data_of(a).dtype), shape)
    factors = []
    while n:
        if n & 1:
            factors.append(a)
        n >>= 1
        a = a @ a if n else a
    for i, factor in enumerate(factors):
        result = factor if i == 0 else result @ factor
    return result if factors else (a * 0.0 + result if isinstance(a, Value) else result)
