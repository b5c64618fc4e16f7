"""What to write where code takes a number out of a Value, so that its gradient would be lost without a word.

The one thing to know: this runs on the way to an error only. It reads the user's line to name what stands there.
"""

from __future__ import annotations

import dis
import linecache
import re
import sys
import warnings
from collections.abc import Iterable
from contextvars import ContextVar
from functools import cache
from types import CodeType, FrameType
from typing import Any, NamedTuple, NoReturn

import numpy as np

from tinygrad_edu import ops

doubts: ContextVar[tuple[str, ...]] = ContextVar("tinygrad_edu.doubts", default=())
"""What rules noted that may be to blame, should a gradient be nan in the end."""


def tell_doubts(cotangents: Iterable[Any]) -> None:
    """Warn of what rules noted, where a cotangent is nan."""
    noted = doubts.get()
    doubts.set(())
    if any(np.isnan(g).any() for g in cotangents):
        warnings.warn(noted[0], RuntimeWarning, stacklevel=3)


def check_function(function: Any, name: str) -> None:
    """Raise TypeError, with what to write, unless `name` was given a function."""
    if callable(function):
        return
    came = f"a {type(function).__name__}: {function!r}"
    if isinstance(function, str):
        hint = ": give the function itself, without quotes"
    elif hasattr(function, "backward"):
        hint = f": give the function that computes it, tg.{name}(f)"
    else:
        hint = f": the function comes first, tg.{name}(f)"
    raise TypeError(f"{name} needs a function, got {came}{hint}")


PLAIN_RULE = (
    "its derivatives would be lost. Where derivatives are recorded (second derivatives, jvp, jacobian) a rule computes "
    "with what it is given, by operators and functions of tg, without .data or .item(). For a derivative of 0 it gives "
    "None"
)


class LostGradientError(TypeError):
    """A Value was about to become a plain number, from which no gradient flows back."""


def lost_gradient(data: Any, wanted: str) -> LostGradientError:
    """The error for code that wants a Value with this data as `wanted`, such as "a float": it says what to write."""
    shown = repr(data) if isinstance(data, float) else f"of shape {np.shape(data)}"
    return LostGradientError(
        f"the Value {shown} can't become {wanted}, its gradient would be lost: {way_out(user_frame())}"
    )


def behind(error: BaseException) -> LostGradientError | None:
    """What an error that numpy raised on top of ours is about, or one of numpy's at an array that holds Values."""
    cause = error.__cause__
    while cause is not None:
        if isinstance(cause, LostGradientError):
            return LostGradientError(*cause.args)
        cause = cause.__cause__
    name = error.name if isinstance(error, AttributeError) and type(error.obj).__name__ == "Value" else None
    by_numpy = name is not None and not hasattr(np.ndarray, name) and isinstance(getattr(np, name, None), np.ufunc)
    if str(error).startswith("data must be"):  # which is ours
        return None
    told = r"dtype\('O'\)|loop of ufunc|type object|references|^ufunc '\w+' not supported|dtype=object"
    if by_numpy or (isinstance(error, TypeError) and re.search(told, str(error))):
        return LostGradientError(
            f"numpy can't compute with an array that holds Values ({error}): make it by tg.stack([…]) or tg.array([…]) "
            "in place of np.array([…])"
        )
    if isinstance(error, TypeError) and re.search(
        r"(type|from|not|component:) '?Value\b|Rational instance", str(error)
    ):
        return LostGradientError(
            f"{error}: what is differentiated is a Value, which functions of tg and numpy take; v.item(), v.data and "
            "v.tolist() are its numbers, without a gradient"
        )
    if name is not None and hasattr(np.ndarray, name):
        return LostGradientError(f"a Value has no .{name}: v.data.{name} is that of its numbers, without a gradient")
    return None


def exact(x: Any, data: Any) -> Any:
    """Data, made of what a user gave. Raises ValueError for an integer that no float equals, as 2**53 + 1 is."""
    if data is not x and type(x) is not bool and np.size(data) and np.max(np.abs(data)) >= 2.0**53:
        for given, number in zip(np.ravel(np.asarray(x)).tolist(), np.ravel(data).tolist(), strict=True):
            if isinstance(given, int) and number != given:
                raise ValueError(f"data has the integer {given}, which no float equals: write float(…) to round it")
    return data


def kept(x: Any) -> NoReturn:
    """Raises the error for pickling a Value within what is differentiated: what is read again has no gradient."""
    raise lost_gradient(x.data, "a pickle")


def in_place(mask: bool) -> TypeError:
    """The error for `v[key] = new`: the line to write, from the user's own."""
    frame, line = user_frame(), "v[mask] = new"
    if frame is not None:
        line = linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip() or line
    line = re.sub(r"^(?:for|if|while|elif|else|with)\b[^:]*:\s+(?=\S)", "", line)
    parts = re.fullmatch(r"([^;]+?)\[([^;]+)\]\s*([-+*/]?)=\s*([^=;][^;]*)", line)
    value, key, operator, new = parts.groups() if parts else ("v", "key", "", "new")
    new = f"{value} {operator} ({new})" if operator else new
    chosen = key if mask else "mask"
    write = f"{value} = tg.where({chosen}, {new}, {value})"
    if not mask:
        write = f"mask = np.zeros({value}.shape, bool); mask[{key}] = True; {write}"
    return TypeError(
        f"a Value can't be changed in place, since others may depend on it: instead of `{line}` write `{write}`; "
        "tg.follow(function) takes code that changes arrays in place"
    )


PASSED = ("tinygrad_edu", "numpy", "statistics", "json", "fractions", "copy")
"""Modules whose frames are passed over on the way to the user's line."""


def refuse_second_name(x: Any) -> None:
    """Raises TypeError for an in-place operator on a Value, where the same numbers are read by another name later.

    With numpy's arrays the operator would change both; a Value isn't changed. Names are looked for where the operator
    stands, and where the functions around were called.
    """
    frame: FrameType | None = sys._getframe(2)  # that of the operator
    target = None
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] not in PASSED:
        later = what_follows(frame.f_code, frame.f_lasti)
        target = later.stored if target is None else ""
        for name, other in frame.f_locals.items():
            if name not in later.read or name == target or (later.is_entry and other is not x):
                continue
            if holds(other, x, later.fills):
                raise TypeError(
                    f"an in-place operator would change {name} as well, if these were arrays, but a Value isn't "
                    f"changed in place: write x = x + y for x += y where {name} is to stay, or differentiate "
                    "tg.follow(function), in which both change"
                )
        frame = frame.f_back


def holds(other: Any, x: Any, fills: bool) -> bool:
    """Whether an object shares memory with a Value, or has it as a part: unless code that follows fills in parts."""
    data = getattr(other, "_data", other)
    if isinstance(data, np.ndarray):
        return bool(np.may_share_memory(x._data, data))
    if fills or callable(other):
        return False
    parts = other.values() if isinstance(other, dict) else other if isinstance(other, (list, tuple)) else ()
    return any(part is x for part in (*parts, *getattr(other, "__dict__", {}).values()))


class Following(NamedTuple):
    """What may run after an instruction, round a loop too.

    Attributes:
        read: The names that are read before they get another object.
        stored: The name that the instruction's result goes to; "" where it goes elsewhere.
        is_entry: Whether it becomes an entry, which a Value refuses itself.
        fills: Whether entries or attributes are set.
    """

    read: frozenset[str]
    stored: str
    is_entry: bool
    fills: bool


@cache
def what_follows(code: CodeType, at: int) -> Following:
    instructions = list(dis.get_instructions(code))
    behind = [i for i in instructions if i.offset > at]
    starts = [i.argval for i in behind if "JUMP_BACKWARD" in i.opname and i.argval <= at]
    around = [i for i in instructions if starts and min(starts) <= i.offset < at]
    read: dict[str, bool] = {}
    for i in (*behind, *around):
        if re.fullmatch(r"(LOAD|STORE)_(FAST|NAME|GLOBAL|DEREF|CLOSURE).*", i.opname):
            names = i.argval if isinstance(i.argval, tuple) else (i.argval,)
            kinds = re.findall("LOAD|STORE", i.opname) * 2  # some instructions do two at once
            for name, kind in zip(names, kinds, strict=False):
                read.setdefault(name, kind == "LOAD")
    target = next((i for i in behind if i.opname != "SWAP"), None)
    kind = target.opname if target else ""
    return Following(
        frozenset({name for name, is_read in read.items() if is_read} | set(code.co_cellvars)),
        str(target.argval) if target and re.match("STORE_(FAST|NAME|GLOBAL|DEREF)", kind) else "",
        kind == "STORE_SUBSCR",
        any(i.opname in ("STORE_SUBSCR", "STORE_ATTR") for i in (*behind, *around)),
    )


def user_frame() -> FrameType | None:
    """The nearest frame that is neither the library's nor numpy's."""
    frame: FrameType | None = sys._getframe(1)
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in PASSED:
        frame = frame.f_back
    return frame


def result_is_dropped() -> bool:
    """Whether the user's code throws away what the call that runs now gives: `v.sort()` as a statement."""
    frame = user_frame()
    if frame is None:
        return False
    code, at = frame.f_code.co_code, frame.f_lasti + 2
    while at < len(code) and dis.opname[code[at]] == "CACHE":
        at += 2
    return at < len(code) and dis.opname[code[at]] == "POP_TOP"


def way_out(frame: FrameType | None) -> str:
    """What to write in place of the expression at which a frame stands."""
    reading = "v.item() reads the number, without a gradient"
    if frame is None:
        return reading
    if dis.opname[frame.f_code.co_code[frame.f_lasti]].startswith("STORE_SUBSCR"):
        return (
            "a numpy array can't hold Values; collect the entries in a list and join them with tg.stack(entries), "
            "let tg.follow(function) follow code that fills arrays, "
            f"or assign v.item(). {reading.capitalize()}"
        )
    called = re.match(r"(?:\w+\.)*(\w+)\s*\(", expression_at(frame))
    name = called[1] if called else ""
    if name in ELSEWHERE:
        return f"in place of {called[0]}…) write {ELSEWHERE[name]}; {reading}"  # type: ignore[index]
    if name in ("float", "int", "complex", "float64", "float32"):
        return f"leave {name}(…) out, or, if only the number is wanted, write v.item()"
    if called and name in (*ops.FAMILY_OF, *ops.NUMPY_ALIASES):
        joined = "" if called[0].startswith("math.") else ", and join lists with tg.stack([…])"
        return f"in place of {called[0]}…) write tg.{name}(…){joined}; {reading}"
    if called and name in ("array", "asarray", "asanyarray"):
        return f"in place of {called[0]}…) write tg.stack([…]); {reading}"
    return f"use a function of tg, such as tg.exp, or join Values with tg.stack([…]); {reading}"


ELSEWHERE = {
    "fsum": "tg.sum(tg.stack([…]))",
    "dist": "tg.norm(a - b)",
    "fmean": "tg.mean(tg.stack([…]))",
    "geometric_mean": "tg.exp(tg.mean(tg.log(tg.stack([…]))))",
    "pvariance": "tg.var(tg.stack([…]))",
    "variance": "tg.var(tg.stack([…]), ddof=1)",
    "pstdev": "tg.std(tg.stack([…]))",
    "stdev": "tg.std(tg.stack([…]), ddof=1)",
}
"""What to write for functions of `math` and `statistics` that have another name here."""


def expression_at(frame: FrameType) -> str:
    """The source of the expression that a frame is computing; "" where there is none."""
    positions = list(frame.f_code.co_positions())[frame.f_lasti // 2]
    first, last, start, end = positions
    if first is None or first != last or start is None:
        return ""
    # columns count bytes
    return linecache.getline(frame.f_code.co_filename, first).encode()[start:end].decode(errors="replace")
