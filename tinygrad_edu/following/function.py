"""`follow`: a plain numpy function run on Values, and its result compared with the function's own.

The one thing to know: the function runs twice. Once as it is, on copies of the numbers; once with stand-ins for `np`
and `math` in a copy of its globals. Where the two results differ, there is an error and no gradient.
"""

from __future__ import annotations

import linecache
import random
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

import numpy as np

from tinygrad_edu.advice import check_function
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.following.origin import library_file
from tinygrad_edu.following.rebuilt import Rebuilder
from tinygrad_edu.following.tracked import bare
from tinygrad_edu.tree import leaves_of, mapped, same_structure


def follow(function: Callable[..., Any]) -> Callable[..., Any]:
    """Plain numpy code that fills arrays in place, as a function that can be differentiated.

    Values can't be changed in place. In a followed function `np` and `math` are stand-ins, whose arrays can: what
    `out[i, j] = …`, `x[mask] = 0`, `+=`, `np.add.at`, `out=` and lists put together is recorded, and so are `math.exp`
    and `float(x)`. Functions and classes of your own modules that it calls are followed too, and read what it sets in
    modules and objects. Of scipy's functions there are `expit`, `softmax`, `logsumexp`, `correlate2d` and `convolve2d`.
    What is written into arrays of float32 is rounded. Nothing of yours is changed but what the function itself changes:
    not its globals, not the arrays that you pass.

    Args:
        function: A function of numbers, arrays, and nested tuples, lists and dicts of them.

    Returns:
        A function of the same arguments and results. Given Values, it gives Values; it can be handed to `grad`, `vjp`,
        `jacobian` and the other transforms, and to `compile` where no way through it depends on numbers. Each call runs
        `function` itself as well, and compares the results.

    Raises:
        TypeError: When called: something in it can't be followed. The message names the line.
        ValueError: When called: the recorded result isn't the function's own, as where it draws random numbers from a
            source that can't be repeated.

    >>> import numpy as np
    >>> import tinygrad_edu as tg
    >>> def running_sums(x):
    ...     out = np.zeros_like(x)
    ...     for i in range(len(x)):
    ...         out[i] = x[i] + (out[i - 1] if i else 0.0)
    ...     return np.sum(out**2)
    >>> tg.grad(tg.follow(running_sums))(np.array([1.0, 2.0, 3.0]))
    array([20., 18., 12.])
    """

    check_function(function, "follow")

    @wraps(function)
    def followed(*args: Any, **options: Any) -> Any:
        rebuild = Rebuilder()
        new = rebuild(function)
        new_args = [rebuild(x) for x in args]
        new_options = {key: rebuild(x) for key, x in options.items()}
        state = np.random.get_state(), random.getstate()
        own = function(*map(plain_copy, args), **{key: plain_copy(x) for key, x in options.items()})
        np.random.set_state(state[0])
        random.setstate(state[1])
        try:
            result = bare(new(*new_args, **new_options))
        except Exception as error:
            raise TypeError(f"{place_of(error)}can't be followed: {error}") from error
        finally:
            rebuild.refuse_leaks()
        compare(result, own)
        return result

    return followed


def plain_copy(x: Any) -> Any:
    """A copy with numbers in place of Values: the function may change it."""
    if isinstance(x, (Value, np.ndarray, list, tuple, dict)):
        return mapped(lambda y: np.array(data_of(y)) if isinstance(data_of(y), np.ndarray) else data_of(y), x)
    return x


def place_of(error: BaseException) -> str:
    """ "file:line: `code` " of the innermost line of the user's own that an error came through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not library_file(frame.filename):
            code = linecache.getline(frame.filename, frame.lineno or 0).strip()
            return f"{frame.filename}:{frame.lineno}: `{code}` " if code else f"{frame.filename}:{frame.lineno} "
    return ""


def compare(result: Any, own: Any) -> None:
    """Raise where what was recorded isn't what the function itself gives."""
    if not same_structure(result, own):
        raise ValueError("the followed function's result has another structure than the function's own")
    for ours, theirs in zip(leaves_of(result), leaves_of(own), strict=True):
        a, b = np.asarray(data_of(ours)), np.asarray(data_of(theirs))
        if b.dtype.kind not in "fiub":
            continue
        tolerance = 1e-4 if b.dtype == np.float32 else 1e-9
        if a.shape != b.shape or not np.allclose(a, b, rtol=tolerance, atol=tolerance, equal_nan=True):
            raise ValueError(
                "the function can't be followed: run with Values it gives other numbers than by itself "
                "(does it draw random numbers, or keep something from call to call?)"
            )
