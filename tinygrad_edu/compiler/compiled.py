"""`tg.compile`: a function's computation, recorded once, as Python source that does the same to the last bit.

The one thing to know: the source is what runs. It has no checks and no graph; where floats leave what Python computes
without an error (a division by zero, an overflow), the function itself is run instead, so that results stay the same.
"""

from __future__ import annotations

import builtins
import keyword
import linecache
import math
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import update_wrapper
from itertools import count
from types import MethodType, ModuleType
from typing import Any, Generic, Literal, NamedTuple, NoReturn, ParamSpec, cast, overload

import numpy as np

from tinygrad_edu.advice import check_function
from tinygrad_edu.compiler.comments import COMMENTS, with_comments
from tinygrad_edu.compiler.printer import RESERVED, Printer, identifier, new_buffer
from tinygrad_edu.compiler.program import Program, Step, program_of
from tinygrad_edu.compiler.recording import (
    Did,
    difference,
    from_outside,
    local_names,
    names_of,
    order_of,
    recorded,
    roots_of,
    same_plain,
    trace_of,
)
from tinygrad_edu.compiler.signature import (
    Call,
    call_of,
    inputs_for,
    is_whole,
    named_parts,
    names_of_arguments,
    parts_of,
    put_together,
)
from tinygrad_edu.compiler.surroundings import Checks, Surroundings, form_of, line_of, line_of_change, state_of_draws
from tinygrad_edu.compiler.traced import FixedError, Recorder, refusal_of
from tinygrad_edu.core.backward import backward_order
from tinygrad_edu.core.context import current, depth
from tinygrad_edu.core.value import Value, data_of
from tinygrad_edu.graph import forward_order
from tinygrad_edu.groups import Groups
from tinygrad_edu.ops.shaping import array
from tinygrad_edu.transforms import variable
from tinygrad_edu.tree import leaves_of, mapped, rebuilt

Backend = Literal["python", "numba"]
"""What may run a printed source."""

serial = count()
OUT_OF_PYTHONS_RANGE = (ZeroDivisionError, OverflowError, ValueError)
MOST = 128
"""How many recordings a compiled function keeps: beyond, the one goes that wasn't used for longest."""


class Recording:
    """What one recording gave: a function and its source, and the structure of its results.

    Attributes:
        places: Of the numbers and arrays of a call those that `run` takes; None for all.
        outer: The Values that the function reads from outside, weakly: they are inputs too.
        whole: The places of the whole numbers that `run` computes with, and how large they may be at `most`.
    """

    def __init__(
        self,
        run: Callable[..., Any],
        source: str,
        structure: Any,
        places: list[int] | None,
        outer: list[weakref.ref[Value]],
        whole: list[int],
        most: float | None,
    ) -> None:
        self.run, self.source, self.structure = run, source, structure
        self.places, self.outer, self.whole, self.most = places, outer, whole, most
        self.forms = [form_of(value._data) for ref in outer if (value := ref()) is not None]
        self.used = 0
        self.known: list[Any] = []
        self.checks: Checks | None = None
        self.fixed: tuple[set[int], Any] | None = None

    def inputs(self, data: list[Any]) -> list[Any] | None:
        """What `run` takes; None where a Value from outside has another form than when it was recorded."""
        given = data if self.places is None else [data[i] for i in self.places]
        if not self.outer:
            return given
        outer = [value._data for ref in self.outer if (value := ref()) is not None]
        return [*given, *outer] if [form_of(x) for x in outer] == self.forms else None

    def holds(self, data: list[Any]) -> bool:
        """Whether it is right for a call of the same signature, as far as that can be told quickly."""
        if self.checks is None or not self.checks.hold():
            return False
        return self.fixed is None or values_at(self.fixed[0], data) == self.fixed[1]

    def within_bounds(self, data: list[Any]) -> bool:
        return all(np.all(np.abs(np.asarray(data[i], float)) < self.most) for i in self.whole)


class Run(NamedTuple):
    """What was seen while a function ran.

    Attributes:
        inputs: The Values it ran on, the arguments' first.
        given: The arguments' numbers and arrays, for which these stand.
        names: What the source calls Values.
        structure: That of its results.
        results: These, in order.
        order: What was computed, in the order in which the source is to have it.
        recorder: Who saw it.
    """

    inputs: list[Value]
    given: list[Any]
    names: dict[Value, str]
    structure: Any
    results: list[Any]
    order: list[Value]
    recorder: Recorder


P = ParamSpec("P")


class Compiled(Generic[P]):
    """A function with its printed source; see `compile`.

    Attributes:
        source: The source of the most recent recording, which runs by itself when copied into a file.
    """

    is_compiled = True

    def __init__(self, function: Callable[..., Any], static: bool, backend: Backend, pure: bool = False) -> None:
        self.function, self.static, self.backend, self.pure = function, static, backend, pure
        self.made: dict[Any, Recording] = {}
        self.fixed: dict[Any, set[int]] = {}
        self.attributes: set[str] = set()
        self.quick: dict[Any, Recording] = {}
        self.states: dict[Any, int] = {}
        self.source = ""
        self.latest: tuple[Any, Any] | None = None
        update_wrapper(self, function, updated=())  # and not the attributes, which may be those of another Compiled

    def __repr__(self) -> str:
        name = getattr(self.function, "__name__", type(self.function).__name__)
        return f"<compiled {name}: {'.source is its latest recording' if self.made else 'recorded at its first call'}>"

    def graph(self) -> Any:
        """The picture of the most recent call, as `tg.draw` makes it, for which the function runs once more.

        Values have the names that they have in the source, such as `d_w`.

        Raises:
            ValueError: The function hasn't been called yet, or a network that it was called with is gone.
        """
        from tinygrad_edu.drawing import draw

        if self.latest is None:
            raise ValueError("nothing is recorded yet: call the function first")
        args, named = (mapped(strong, part) for part in self.latest)
        call = call_of(self.function, args, named)
        run = self.watched_run(call, self.fixed.get(tuple(call.key), set()), {})
        own = {value: value.name for value in run.names}
        order = forward_order([r for r in run.results if isinstance(r, Value)])
        parents = {value: value.parents for value in order}
        try:
            for value in order:  # the copies that derivatives are taken by say nothing
                value.parents = tuple(map(not_copied, value.parents))
            for value, name in run.names.items():
                value.name = value.name or identifier(name)
            return draw(*(r for r in run.results if isinstance(r, Value)))
        finally:
            for value, kept in own.items():  # some may be the user's
                value.name = kept
            for value, given in parents.items():
                value.parents = given

    def __call__(self, /, *args: P.args, **named: P.kwargs) -> Any:
        if depth.get():  # this function is a part of what is being differentiated or compiled
            return self.function(*args, **named)
        call = call_of(self.function, args, named)
        recording = self.recording_for(call)
        inputs = recording.inputs(call.data)
        if inputs is None:
            recording = self.recording_for(call, anew=True)
            inputs = recording.inputs(call.data)
            if inputs is None:
                self.refuse_thread()
        self.source = recording.source
        weak = call.roots or call.values
        self.latest = (weakened(call.args), weakened(call.named)) if weak else (call.args, call.named)
        if recording.most is not None and not recording.within_bounds(call.data):
            return self.eagerly(call)
        try:
            results = recording.run(*inputs)
        except Exception as error:
            try:
                eager = self.eagerly(call)
            except Exception as own:
                set_first_cause(own, error)
                raise
            if not isinstance(error, OUT_OF_PYTHONS_RANGE):
                raise
            return eager
        return rebuilt(recording.structure, iter(results))

    def __reduce__(self) -> Any:
        """Pickled by its name where that is what its module has, else as its function, to be recorded anew."""
        found: Any = sys.modules.get(self.__module__)
        for name in (path := str(getattr(self, "__qualname__", ""))).split("."):
            found = getattr(found, name, None)
        return path if found is self else (Compiled, (self.function, self.static, self.backend, self.pure))

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        """As a method, of an object whose attributes are a part of what it reads."""
        return self if instance is None else MethodType(self, instance)

    def recording_for(self, call: Call, anew: bool = False) -> Recording:
        """The recording for a call, made where there is none yet."""
        signature = tuple(call.key)
        quick = (signature, *map(id, call.roots))
        known = self.quick.get(quick)
        if known is not None and not anew and known.holds(call.data):
            known.used = next(serial)
            return known
        if known is not None:
            known.checks = None  # which would hold on to what was there before
        fixed = self.fixed.get(signature)
        surroundings, state = self.state(call)
        for _ in range(len(call.data) + 1):
            key = (signature, state, values_at(fixed, call.data) if fixed else None)
            recording = None if anew else self.made.get(key)
            if recording is not None:
                break
            try:
                recording = self.record(call, fixed or set(), surroundings)
            except FixedError as error:
                fixed = self.fixed[signature] = (fixed or set()) | error.places
                continue
            recording.fixed = (fixed, values_at(fixed, call.data)) if fixed else None
            self.keep(key, recording, surroundings)
            break
        assert recording is not None
        recording.used = next(serial)
        if len(self.quick) > 2 * MOST:
            self.quick.clear()
        if all(map(has_weak_references, call.roots)):  # else another may come to have the identity of one that is gone
            recording.checks = surroundings.checks
            if recording.checks is not None:  # the forms of inputs are seen without it
                seen = {*call.values, *(id(ref()) for ref in recording.outer)}
                recording.checks.forms[:] = [x for x in recording.checks.forms if id(x[0]()) not in seen]
            self.quick[quick] = recording
        return recording

    def state(self, call: Call) -> tuple[Surroundings, int]:
        """What surrounds the function now, and a number for that."""
        found = Surroundings([("", self.function), *(("", x) for x in call.roots)], self.attributes)
        key = tuple(found.key)
        number = self.states.get(key)
        if number is None:
            if len(self.states) > 8 * MOST:
                self.states.clear()
            number = self.states.setdefault(key, next(serial))
        return found, number

    def keep(self, key: Any, recording: Recording, surroundings: Surroundings) -> None:
        """Keep a recording as long as all lives that it is known by, and it is among those used last."""
        made, quick = self.made, self.quick

        def drop(_: Any) -> None:
            made.pop(key, None)
            quick.clear()

        roots = [root for _, root in surroundings.roots[1:] if has_weak_references(root)]
        for x in (*surroundings.known, *roots):
            recording.known.append(weakref.ref(x, drop) if has_weak_references(x) else x)
        recording.used = next(serial)
        made[key] = recording
        while len(made) > MOST:
            oldest = min(list(made.items()), key=lambda item: item[1].used)[0]
            made.pop(oldest, None)
            quick.clear()

    def eagerly(self, call: Call) -> Any:
        """The function itself, on Values; its results as plain numbers and arrays, new ones."""
        values = [x if isinstance(x, Value) or is_whole(x) else Value(x) for x in parts_in(call)]
        args, named = put_together(call, iter(values))
        taken = [x for x in call.data if isinstance(x, np.ndarray)]

        def result(x: Any) -> Any:
            data = data_of(one_value(x))
            if isinstance(data, np.ndarray) and any(np.may_share_memory(data, other) for other in taken):
                data = data.copy(order="K")
            if isinstance(data, np.ndarray):
                taken.append(data)
            return data

        return mapped(result, self.function(*args, **named))

    def watched_run(self, call: Call, fixed: set[int], paths: Mapping[Value, str], again: bool = False) -> Run:
        """The function run once on Values; the names of its variables are noted, unless it is run `again`."""
        recorder = Recorder(current()[2], self.static)
        names = named_parts(self.function, call)
        values, queue = inputs_for(call, list(map(identifier, names)), fixed, recorder)
        places = [i for i, x in enumerate(values) if isinstance(x, Value)]
        recorder.given = {values[i]: i for i in reversed(places)}
        recorder.arrays = [x for x, part in zip(values, parts_in(call), strict=True) if is_plain_array(x, part)]
        args, named = put_together(call, queue)
        before = [*map(form_of_tree, (*args, *named.values()))]
        try:
            with recorded(recorder), local_names(not again) as local:
                result = mapped(one_value, self.function(*args, **named))
        except (TypeError, ValueError, AttributeError) as error:
            if (refused := refusal_of(error)) is None:
                raise
            raise refused.with_traceback(error.__traceback__) from None
        for i, tree in enumerate((*args, *named.values())):
            if form_of_tree(tree) != before[i]:
                self.refuse_change(names_of_arguments(self.function, call)[i])
        if recorder.fixed:  # the function caught the error
            raise FixedError(recorder.fixed)
        results = leaves_of(result)
        check_results(results)
        given = {  # the name of a variable tells more than the path to an entry of an argument
            values[i]: names[i] if names[i].isidentifier() else local.get(values[i], names[i]) for i in reversed(places)
        }
        order = order_of([*roots_of(recorder.owners), *results], recorder.tape, given)
        outer = from_outside(results, order, recorder)
        inputs = [values[i] for i in places]
        given |= {value: value.name or paths.get(value) or local.get(value) or "outer" for value in outer}
        named_values = names_of(given, order, recorder.owners, local)
        structure = mapped(lambda _: None, result)
        return Run([*inputs, *outer], [call.data[i] for i in places], named_values, structure, results, order, recorder)

    def refuse_change(self, argument: str) -> NoReturn:
        raise TypeError(
            f"{line_of_change(self.function)}while compiling, {getattr(self.function, '__name__', 'the function')} "
            f"changes its argument {argument}, which a recorded call doesn't: make a new list or dict, and return it"
        )

    def refuse_thread(self) -> NoReturn:
        raise TypeError(
            f"while compiling, {getattr(self.function, '__name__', 'the function')} computes Values in another thread, "
            "where nothing is recorded: compute them in the one that calls it"
        )

    def record(self, call: Call, fixed: set[int], surroundings: Surroundings) -> Recording:
        """Run the function, and print what it computed."""
        with last_results_kept(surroundings.kept):
            run = self.watched_run(call, fixed, surroundings.paths)
            outer, structure, most = run.inputs[len(run.given) :], run.structure, run.recorder.most
            unseen = backward_order([value for value in outer if value not in surroundings.paths])
            if any(x in run.recorder.given or x in run.recorder.tape for node in unseen for x in node.parents):
                self.refuse_thread()
            data = [*run.given, *(value._data for value in outer)]
            program = program_of(run.inputs, run.results, run.order, run.names, tape=run.recorder.tape, given_data=data)
            trace, plain = trace_of(run.recorder), plain_results(run)
            run.recorder.let_go()
            del run  # with all that it computed, before another run computes as much
            self.check_again(trace, plain, call, fixed, surroundings)
        name = identifier(getattr(self.function, "__name__", ""))
        if keyword.iskeyword(name) or name in RESERVED:
            name = "compiled"
        function, source = built(program, name, self.pure)
        if self.backend == "numba":
            from tinygrad_edu.compiler.machine import machine_code

            function = machine_code(program, name, lambda: source) or function
        places = [i for i in range(len(call.data)) if i not in fixed]
        whole = [i for i in places if is_whole(call.data[i])]
        return Recording(
            function,
            source,
            structure,
            None if len(places) == len(call.data) else places,
            list(map(weakref.ref, outer)),
            whole,
            most,
        )

    def check_again(
        self, trace: Sequence[Did], plain: Sequence[Any], call: Call, fixed: set[int], surroundings: Surroundings
    ) -> None:
        """Run the function once more. Raises TypeError where it draws, counts, or changes what it reads."""
        if self.static:
            return
        name = getattr(self.function, "__name__", "the function")
        if not surroundings.is_pure:
            drawn = state_of_draws()
            again = self.watched_run(call, fixed, {}, again=True)
            differs = difference(trace, trace_of(again.recorder))
            again.recorder.let_go()
            if differs is not None or not same_plain(plain, plain_results(again)) or state_of_draws() != drawn:
                line = self.line_of_step(call, fixed, differs)
                raise TypeError(
                    f"{line}while compiling, {name} didn't do the same when it ran twice on the same arguments: what "
                    "it draws at random, counts, keeps or reads from a clock would be recorded for one case. Give it "
                    "as an argument"
                )
        if surroundings.checks is not None and surroundings.checks.hold():
            return
        after = Surroundings(surroundings.roots, self.attributes)
        if after.key != surroundings.key:
            changed = [way for way, a, b in zip(after.ways, after.key, surroundings.key, strict=False) if a != b]
            way = changed[0] if changed else "something"
            raise TypeError(
                f"{line_of(after.functions, way)}while compiling, {name} changes {way}, which it can read: a recorded "
                "call doesn't. Give it as an argument, and return what it becomes"
            )

    def line_of_step(self, call: Call, fixed: set[int], step: int | None) -> str:
        """File and line of the user's at which a step of a run is made."""
        recorder = Recorder(current()[2], self.static)
        recorder.lines = []
        values, queue = inputs_for(call, [""] * len(call.data), fixed, recorder)
        recorder.given = {x: i for i, x in enumerate(values) if isinstance(x, Value)}
        args, named = put_together(call, queue)
        with recorded(recorder):
            self.function(*args, **named)
        code = getattr(self.function, "__code__", None)
        first = f"{code.co_filename}:{code.co_firstlineno}: " if code else ""
        return recorder.lines[step] if step is not None and step < len(recorder.lines) else first


def is_plain_array(value: Any, part: Any) -> bool:
    """Whether a Value stands for an array of the caller's that an in-place operator would change."""
    return isinstance(value, Value) and isinstance(part, np.ndarray)


def form_of_tree(tree: Any) -> Any:
    """What tells whether lists and dicts have changed: their structure, and which objects their leaves are."""
    if isinstance(tree, dict):
        return [(key, form_of_tree(part)) for key, part in tree.items()]
    if isinstance(tree, (list, tuple)):
        return [form_of_tree(part) for part in tree]
    return id(tree)


def has_weak_references(x: Any) -> bool:
    return bool(getattr(type(x), "__weakrefoffset__", 0))


def values_at(places: set[int], data: Sequence[Any]) -> Any:
    return tuple((i, type(data[i]), data[i]) for i in sorted(places))


def parts_in(call: Call) -> list[Any]:
    return [part for tree in call.trees for leaf in leaves_of(tree) for part in parts_of(leaf)]


def weakened(tree: Any) -> Any:
    """Arguments without a hold on networks and other objects."""

    def weak(x: Any) -> Any:
        numbers = isinstance(x, (float, int, np.generic, np.ndarray))
        return x if numbers or x is None or isinstance(x, str) else Weak(x)

    return mapped(weak, tree)


class Weak:
    """A weak reference to an argument; a strong one to what can't have one."""

    def __init__(self, x: Any) -> None:
        try:
            self.get: Callable[[], Any] = weakref.ref(x)
        except TypeError:
            self.get = lambda: x


def strong(x: Any) -> Any:
    if not isinstance(x, Weak):
        return x
    found = x.get()
    if found is None:
        raise ValueError("a network or an object that the function was called with is gone: call it again first")
    return found


def not_copied(x: Any) -> Any:
    """The Value itself, of a copy that a transform made to differentiate by it."""
    while isinstance(x, Value) and x.operation is variable and isinstance(x.parents[0], Value):
        x = x.parents[0]
    return x


def one_value(x: Any) -> Any:
    """A result as it is; numpy's array of Values, as np.array([v, w]) makes it, as one Value."""
    return array(x) if type(x) is np.ndarray and x.dtype == object else x


def check_results(results: Sequence[Any]) -> None:
    """Raises TypeError for a result in which numbers would stay as they were recorded."""
    for x in results:
        plain = isinstance(x, (Value, float, int, complex, np.generic, str, bytes, type(None)))
        if not plain and not (isinstance(x, np.ndarray) and x.dtype != object):
            raise TypeError(
                f"a compiled function returns numbers, arrays and nested tuples, lists and dicts of them, got {type(x)}"
            )


def plain_results(run: Run) -> list[Any]:
    """The results of a run that aren't computed, and where the others stand."""
    return [Value if isinstance(x, Value) else x for x in run.results]


@contextmanager
def last_results_kept(objects: Sequence[Any]) -> Iterator[None]:
    """Within it networks may run; afterwards they have what they computed before."""
    units = [x for x in objects if not isinstance(x, ModuleType) and hasattr(x, "__dict__")]
    kept = [(x, name, vars(x)[name]) for x in units for name in ("weighted_sum", "activated") if name in vars(x)]
    try:
        yield
    finally:
        for x, name, value in kept:
            setattr(x, name, value)
        for x in units:
            if isinstance(groups := vars(x).get("groups"), Groups):
                groups.made = (None, [])


@overload
def compile(
    function: Callable[P, Any], *, static: bool = False, backend: Backend = "python", pure: bool = False
) -> Compiled[P]: ...
@overload
def compile(
    function: None = None, *, static: bool = False, backend: Backend = "python", pure: bool = False
) -> Callable[[Callable[P, Any]], Compiled[P]]: ...


def compile(
    function: Callable[..., Any] | None = None,
    *,
    static: bool = False,
    backend: Backend = "python",
    pure: bool = False,
) -> Any:
    """Compile a function into straight Python: recorded at its first call, run as printed source from then on.

    Its arguments are numbers, arrays, Values, networks, and nested tuples, lists and dicts of them, which every call
    reads anew, as it does the Values that the function reads from outside. It is recorded once for each structure and
    form of them, and for each state of what else the function reads by name: settings, closures, globals. Results are
    plain numbers and arrays, in the function's own structure, bit for bit those of the function.

    Args:
        function: What to compile; it may call `tg.gradients` and `tg.grad`.
        static: Let Python branch on data while recording: that way is then taken always.
        backend: "numba" (the extra `numba`) turns the source of scalar programs into machine code. Where that can't
            give the same bits, a warning says why, and Python runs the source.
        pure: Print a source that writes into no memory and calls no function of this library, so that it also runs
            where `np` is another library's module with numpy's functions, such as `jax.numpy`.

    Raises:
        ValueError: Another backend than "python" or "numba".
        TypeError: When first called: Python branched on a Value's data, or the function draws at random, counts, or
            changes what it reads; the message names file and line. Or a source can't be `pure`.
        ImportError: When first called: the backend isn't installed.

    >>> import tinygrad_edu as tg
    >>> @tg.compile
    ... def slope(w, x):
    ...     return tg.gradients(tg.sigmoid(w * x), [w])[0]
    >>> slope(0.5, 2.0)
    0.3932238664829637
    >>> print(slope.source)
    import math
    <BLANKLINE>
    <BLANKLINE>
    def slope(w, x):
        sigmoid = 1.0 / (1.0 + math.exp(-(w * x)))
        d_w = sigmoid * (1.0 - sigmoid) * x
        return (d_w,)
    <BLANKLINE>
    """
    check_backend(backend)
    if function is not None:
        check_function(function, "compile")
    return Compiled(function, static, backend, pure) if function else lambda f: Compiled(f, static, backend, pure)


def check_backend(backend: str) -> Backend:
    """The backend itself. Raises ValueError where there is none of that name."""
    if backend not in ("python", "numba"):
        raise ValueError(f'backend must be "python" or "numba", got {backend!r}')
    return cast(Backend, backend)


def built(program: Program, name: str, pure: bool = False) -> tuple[Callable[..., Any], str]:
    """A function made of a program, and its source."""
    printer = Printer(program, [name], pure)
    arguments = [printer.operand(step).text for step in program.inputs]
    lines = with_comments(printer.statements(), COMMENTS["en"])
    results = "".join(f"{written_result(printer, i)}, " for i in range(len(program.results))).strip()
    body = [f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in lines), f"    return ({results})"]
    if any("np.exp(" in line for line in lines) and not pure:
        body.insert(0, '@np.errstate(over="ignore")  # where exp(-x) overflows, 1 / (1 + exp(-x)) is 0')
    function, source = runnable(printer, body, name)
    return np.errstate(over="ignore")(function) if pure else function, source


def runnable(printer: Printer, body: Sequence[str], name: str) -> tuple[Callable[..., Any], str]:
    """The function whose lines are `body`, under the heading that it needs, and its whole source."""
    heading, text, space = printer.heading(), "\n".join(body) + "\n", printer.space
    forms = dict(zip(printer.buffers, printer.memory.buffers, strict=True))  # all else of the recording is let go

    def make() -> Callable[..., Any]:
        return executed(heading, text, name, space | {buffer: new_buffer(form) for buffer, form in forms.items()})

    return one_call_at_a_time(make) if forms else make(), heading + text


def written_result(printer: Printer, i: int) -> str:
    result = printer.program.results[i]
    text = printer.operand(result).text
    if i not in printer.program.copied:
        return text
    if printer.pure:
        printer.modules.add("np")
        return f"np.array({text})"
    data = result.data if isinstance(result, Step) else result
    return f"{text}.copy()" if data.flags.c_contiguous else f'{text}.copy(order="K")'


def one_call_at_a_time(make: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    """A function that works in memory of its own, for callers in many threads: each call has a function to itself."""
    idle = [make()]

    def run(*args: Any) -> Any:
        try:
            function = idle.pop()  # list.pop and list.append are atomic
        except IndexError:
            function = make()
        try:
            return function(*args)
        finally:
            idle.append(function)

    return run


def executed(heading: str, body: str, name: str, space: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that a source defines; `space` has what its heading makes. Errors show its lines, by `linecache`."""
    source, file = heading + body, f"<compiled {name} {next(serial)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    found = {"math": math, "np": np, **space}
    exec(builtins.compile("\n" * heading.count("\n") + body, file, "exec"), found)
    function: Callable[..., Any] = found[name]
    weakref.finalize(function, linecache.cache.pop, file, None).atexit = False
    return function


def set_first_cause(error: Exception, first: Exception) -> None:
    """Make an error of the printed source the cause of one of the eager run: a traceback then shows both lines."""
    root: BaseException = error
    while root.__cause__ is not None:
        root = root.__cause__
    if root is not first:
        root.__cause__ = first
