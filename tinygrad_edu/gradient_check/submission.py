"""The check of someone else's code, in a process of its own with a time limit: what `tinygrad-edu check` runs.

The one thing to know: only an answer that the child process wrote counts. A submission that exits, crashes or hangs has
none, whatever its exit code is.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import inspect
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_edu.core.data import as_data
from tinygrad_edu.gradient_check.forms import WrtError

RIGHT, WRONG, USAGE, NOT_RUN = 0, 1, 2, 3
"""Exit codes: the gradients are right; are wrong; the arguments don't fit; the code crashed, hung or can't be run."""
SHOWN = 20_000
"""So many characters of what a submission prints are shown, the last ones."""


class Answer(NamedTuple):
    """What came of a check: the exit code, the report's text and its `to_dict`, and what went wrong otherwise."""

    code: int
    text: str = ""
    report: dict[str, Any] | None = None
    error: str = ""
    printed: str = ""


class Job(NamedTuple):
    """What is to be checked: names as "module:function" or "file.py:function", and inputs as they were typed."""

    function: str
    backward: str | None
    gradient: str | None
    inputs: Sequence[str]
    wrt: Sequence[str] | None
    language: str


def check_in_own_process(job: Job, seconds: float) -> Answer:
    """Run the check in a child process, and end that process and its own children after so many seconds."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        task, answer, printed = (Path(folder) / name for name in ("task.json", "answer.json", "printed.txt"))
        task.write_text(json.dumps(job._asdict()), "utf-8")
        command = [sys.executable, "-m", "tinygrad_edu.gradient_check.submission", str(task), str(answer)]
        with printed.open("wb") as output:
            on_terminal = sys.stderr.isatty()  # where a bar may be shown
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if on_terminal else output,
                env={**os.environ, "PYTHONIOENCODING": "utf-8"},
                start_new_session=os.name == "posix",
            )
            try:
                code = child.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                end(child)
                return Answer(NOT_RUN, error=f"no answer within {seconds:g} s: the code hangs, or needs more time")
            except BaseException:
                end(child)
                raise
        said = printed.read_text("utf-8", errors="replace")[-SHOWN:]
        return read(answer, code)._replace(printed=said)


def end(child: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()


def read(answer: Path, code: int) -> Answer:
    try:
        return Answer(**json.loads(answer.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        return Answer(NOT_RUN, error=f"the code ended its process {how}, before the check was done")


# --- in the child -----------------------------------------------------------------------------------------------------


class UsageError(Exception):
    """Arguments that don't fit."""


def main(task: str, answer: str) -> None:
    job = Job(**json.loads(Path(task).read_text("utf-8")))
    try:
        report = report_on(job)
        found = Answer(RIGHT if report else WRONG, repr(report), report.to_dict())
    except UsageError as error:
        found = Answer(USAGE, error=str(error))
    except WrtError as error:
        found = Answer(USAGE, error=re.sub(r"\bwrt\b=?", "--wrt", str(error)))
    except SystemExit as left:
        found = Answer(NOT_RUN, error=f"the code calls sys.exit({left.code!r}) before the check is done")
    except BaseException as error:
        found = Answer(NOT_RUN, error=own_part_of(error))
    Path(answer).write_text(json.dumps(found._asdict()), "utf-8")


def own_part_of(error: BaseException) -> str:
    """The error with its traceback, without this library's own frames where the code has some."""
    frames = traceback.extract_tb(error.__traceback__)
    library = str(Path(__file__).parents[1])
    own = [frame for frame in frames if not frame.filename.startswith((library, "<frozen"))]
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(own)] if own else []
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()


def report_on(job: Job) -> Any:
    """The report of the check that fits: of a layer, a loss, a gradient by hand, or the library's own gradients."""
    from tinygrad_edu.gradient_check import check_layer, check_loss, gradcheck

    module, _, _ = job.function.rpartition(":")
    function = named(job.function)
    inputs = [given(text) for text in job.inputs]
    options: dict[str, Any] = {"language": job.language}
    wrt: dict[str, Any] = {"wrt": [int(w) if w.isdecimal() else w for w in job.wrt]} if job.wrt else {}
    if job.backward:
        backward = named(job.backward if ":" in job.backward else f"{module}:{job.backward}")
        fitting(function, inputs)
        return check_layer(function, backward, *inputs, **wrt, **options)
    if job.gradient:
        gradient = named(job.gradient if ":" in job.gradient else f"{module}:{job.gradient}")
        fitting(function, inputs)
        fitting(gradient, inputs)
        no_choice(job)
        return gradcheck(function, *inputs, gradient=gradient, **options)
    if isinstance(function, type):
        raise UsageError(f"{job.function} is a class: name a function, or an object that was made from it")
    if hasattr(function, "forward") and hasattr(function, "backward"):
        return check_layer(function, *inputs, **wrt, **options)
    fitting(function, inputs)
    if gives_gradients(function, inputs):
        return check_loss(function, *inputs, **wrt, **options)
    no_choice(job)
    return gradcheck(function, *inputs, **options)


def no_choice(job: Job) -> None:
    """Raise UsageError for inputs that are chosen where each is checked."""
    if job.wrt:
        raise UsageError("--wrt is for layers, and for losses that give their gradients: here every input is checked")


def gives_gradients(function: Callable[..., Any], inputs: Sequence[Any]) -> bool:
    """Whether a function gives (loss, gradients) for plain arrays; not so for one that needs Values."""
    try:
        result = function(*[x.copy() if isinstance(x, np.ndarray) else x for x in inputs])
    except Exception:  # it may need Values; if not, the check comes to the same error
        return False
    return isinstance(result, tuple) and len(result) >= 2


def fitting(function: Any, inputs: Sequence[Any]) -> None:
    """Raise UsageError where a function can't be called with so many inputs."""
    if not callable(function):
        raise UsageError(f"{function!r} can't be called")
    try:
        inspect.signature(function).bind(*inputs)
    except TypeError as error:
        name = getattr(function, "__name__", str(function))
        raise UsageError(f"{name} with {len(inputs)} inputs: {error}") from None
    except ValueError:  # some compiled functions tell nothing of their arguments
        return


def named(text: str) -> Any:
    """What "module:name" or "file.py:name" names. Raises UsageError where there is no such thing."""
    module_name, colon, name = text.rpartition(":")
    if not (module_name and colon and name):
        raise UsageError(f"a function is named MODULE:FUNCTION or FILE.py:FUNCTION, got {text!r}")
    module = from_file(Path(module_name)) if module_name.endswith(".py") else from_name(module_name)
    thing: Any = module
    for part in name.split("."):
        thing = getattr(thing, part, None)
    if thing is None:
        near = get_close_matches(name, vars(module), 1)
        raise UsageError(f"{module_name} has no function {name!r}" + (f": did you mean {near[0]}?" if near else ""))
    return thing


def from_name(name: str) -> Any:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name == name.partition(".")[0] or error.name == name:
            raise UsageError(f"there is no module {error.name!r}") from None
        raise


def from_file(path: Path) -> Any:
    """The module in a file; beside it, its folder's other modules can be imported."""
    if not path.is_file():
        raise UsageError(f"there is no file {str(path)!r}")
    full = str(path.resolve())
    if full in LOADED:
        return LOADED[full]
    sys.path.insert(0, str(path.resolve().parent))
    spec = importlib.util.spec_from_file_location(path.stem, full)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = LOADED[full] = module
    spec.loader.exec_module(module)
    return module


LOADED: dict[str, Any] = {}


def given(text: str) -> Any:
    """An input: a number, a list or dict in JSON, or a .npy or .json file. Raises UsageError for anything else."""
    path = Path(text)
    try:
        if path.suffix == ".npy":
            data: Any = np.load(path)
        else:
            data = from_json(json.loads(path.read_text("utf-8") if path.suffix == ".json" else text))
        if isinstance(data, (int, float, np.ndarray)) and not isinstance(data, bool):
            as_data(data)
    except (OSError, ValueError, TypeError):
        raise UsageError(f"{text!r} is neither a number, a list or dict in JSON, nor a file of one") from None
    if isinstance(data, np.ndarray) and not data.size:
        raise UsageError(f"the input {text!r} is empty: there is nothing to check")
    return data


def from_json(data: Any) -> Any:
    """Lists as arrays, at any depth of dicts."""
    if isinstance(data, dict):
        return {key: from_json(part) for key, part in data.items()}
    return np.array(data) if isinstance(data, list) else data


if __name__ == "__main__":
    main(*sys.argv[1:])
