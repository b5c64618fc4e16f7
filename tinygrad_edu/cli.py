"""The command line: `tinygrad-edu article`, `check` and `operations`, also as `python -m tinygrad_edu …`.

The one thing to know: arguments and the output folder are checked before anything is computed; the exit code is 0 only
if every comparison that applies holds.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryFile

from tinygrad_edu import __version__
from tinygrad_edu.article import LABELS, ArticleUpdate, network_from, recovered_start
from tinygrad_edu.article.replay import TOLERANCE, Replay, last_loss, replay
from tinygrad_edu.drawing import save
from tinygrad_edu.drawing.renderer import HOW_TO_GET_DOT, find_dot
from tinygrad_edu.extras import how_to_install
from tinygrad_edu.gradient_check.submission import USAGE, Job, check_in_own_process
from tinygrad_edu.nn import History, half_squared_error
from tinygrad_edu.nn.compiled import Form, epoch_of
from tinygrad_edu.ops.catalogue import page


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code: 0, 1 where a comparison fails, 3 where what was asked for can't be done.

    Wrong arguments end the process with exit code 2; it is 141, as of other programs, where nobody reads on.
    """
    if hasattr(sys.stdout, "reconfigure"):  # a Windows console or pipe may be set to an encoding without Greek letters
        sys.stdout.reconfigure(encoding="utf-8")
    parser = build_parser()
    options = parser.parse_args(arguments)
    try:
        code = int(options.run(options))
        print(end="", flush=True)
    except ArgumentError as error:
        options.parser.error(str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains when it ends
        return 141
    except OSError as error:
        print(f"tinygrad-edu: {error}", file=sys.stderr)
        return 3
    return code


class ArgumentError(Exception):
    """Arguments that parse, and don't fit."""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tinygrad-edu", description="Backpropagation to learn, teach and check.")
    parser.add_argument("--version", action="version", version=f"tinygrad-edu {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    article = commands.add_parser(
        "article",
        help="train the article's network by computed gradients, and compare",
        description="Train the article's network by computed gradients, print what the article prints, compare with "
        "its printout and with backpropagation by hand, and draw the computation.",
    )
    article.add_argument("--kind", choices=("scalar", "dense"), default="scalar", help="neurons or matrices (scalar)")
    article.add_argument("--epochs", type=whole_number, default=40, metavar="N", help="how many epochs (40)")
    article.add_argument("--seed", type=whole_number, metavar="N", help="start from random weights in [0, 1)")
    article.add_argument(
        "--update",
        choices=("article", "sgd"),
        default="article",
        help="the article's update moves a bias once per input, sgd once (article)",
    )
    article.add_argument(
        "--output",
        type=Path,
        default=Path("tinygrad-edu-output"),
        metavar="DIR",
        help="where article.svg goes (tinygrad-edu-output)",
    )
    article.add_argument("--html", action="store_true", help="write article.html, a page to step through, as well")
    article.add_argument(
        "--plot", action="store_true", help='write article.png, the error curve (extra "plot"), as well'
    )
    article.add_argument("--quiet", action="store_true", help="print the comparison only")
    article.set_defaults(run=run_article, parser=article)
    check = commands.add_parser(
        "check",
        help="check a gradient that someone wrote",
        description="Compare gradients with numerical derivatives, in a process of its own, and say what is wrong. "
        "FUNCTION gives a number, a loss with its gradients, or with --backward an output and a cache; it may be an "
        "object with the methods forward and backward. Exit codes: 0 right, 1 wrong, 2 the arguments don't fit, 3 the "
        "code crashed, hung or could not be run.",
    )
    check.add_argument(
        "function", metavar="FUNCTION", help="MODULE:NAME, looked for in the working folder too, or FILE.py:NAME"
    )
    hand = check.add_mutually_exclusive_group()
    hand.add_argument("--backward", metavar="NAME", help="the backward pass: takes dout and the cache")
    hand.add_argument(
        "--gradient",
        metavar="NAME",
        help="gives the gradient written by hand: of each input, in a tuple where there are several",
    )
    check.add_argument(
        "--input",
        action="append",
        required=True,
        metavar="DATA",
        help="a number, a list or dict in JSON, or a .npy or .json file; once for each input",
    )
    check.add_argument(
        "--wrt", action="append", metavar="INPUT", help="an input that is differentiated (all arrays of floats)"
    )
    check.add_argument("--time-limit", type=seconds, default=60.0, metavar="SECONDS", help="for the whole check (60)")
    check.add_argument("--json", action="store_true", help="print the report as JSON")
    check.add_argument("--language", choices=("en", "zh"), default="en", help="of the report (en)")
    check.set_defaults(run=run_check, parser=check)
    compiled = commands.add_parser(
        "compile",
        help="print the source that the compiler writes",
        description="Print the epoch of the article's network as the compiler writes it: backpropagation, derived.",
    )
    compiled.add_argument("network", choices=("article",), help="which network")
    compiled.add_argument("--kind", choices=("scalar", "dense"), default="scalar", help="neurons or matrices (scalar)")
    compiled.add_argument("--language", choices=("en", "zh"), default="en", help="of the comments (en)")
    compiled.set_defaults(run=run_compile, parser=compiled)
    about = "print the page of all operations, as Markdown"
    operations = commands.add_parser("operations", help=about, description=about)
    operations.set_defaults(run=run_operations, parser=operations)
    return parser


def run_compile(options: argparse.Namespace) -> int:
    network = network_from(recovered_start(), options.kind)
    update = ArticleUpdate(network.learning_rate)
    epoch = epoch_of(network, Form(update, half_squared_error, update.metrics, (2,), (2,)), language=options.language)
    assert epoch is not None
    print(epoch.source, end="")
    return 0


def run_operations(options: argparse.Namespace) -> int:
    print(page(), end="")
    return 0


def run_check(options: argparse.Namespace) -> int:
    job = Job(options.function, options.backward, options.gradient, options.input, options.wrt, options.language)
    answer = check_in_own_process(job, options.time_limit)
    if answer.printed:
        print(answer.printed, end="", file=sys.stderr)
    if answer.code == USAGE:
        raise ArgumentError(answer.error)
    if options.json:
        print(json.dumps(answer.report or {"passed": False, "error": answer.error}, ensure_ascii=False))
    elif answer.report:
        print(answer.text)
    if answer.error:
        print(f"{options.function} could not be checked: {answer.error}", file=sys.stderr)
    return answer.code


def seconds(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not number > 0.0:
        raise argparse.ArgumentTypeError(f"must be a number above 0, got {text!r}")
    return number


def whole_number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 0, got {text!r}")
    return int(text)


def run_article(options: argparse.Namespace) -> int:
    if options.plot and find_spec("matplotlib") is None:
        raise ArgumentError(f"argument --plot: plotting needs matplotlib: {how_to_install('plot')}")
    if options.html and options.epochs == 0:
        raise ArgumentError("argument --html: there is no epoch to step through with --epochs 0")
    try:
        options.output.mkdir(parents=True, exist_ok=True)
        TemporaryFile(dir=options.output).close()
    except OSError as error:
        raise ArgumentError(f"argument --output: {options.output} is no folder to write to: {error.strerror}") from None
    result = replay(
        options.kind,
        options.epochs,
        options.seed,
        options.update,
        on_epoch=None if options.quiet else print_epoch,
    )
    if not options.quiet:
        print()
        print(result.trained)
        print()
        for expected, got in zip(LABELS, result.predictions, strict=True):
            print(f"Expected={expected}, Got={got}")
        print()
        if errors := result.history.mean_squared_error:
            print(
                'Printed above as "Mean squared error" is the article\'s figure, mislabelled, which may rise; '
                f"the true one went from {errors[0]:.3f} to {errors[-1]:.3f}: see docs/article-findings.md"
            )
    print_comparison(result, options)
    if find_dot() is None:
        print(f"No picture was drawn: {HOW_TO_GET_DOT}", file=sys.stderr)
    else:
        path = options.output / "article.svg"
        loss = last_loss(result.network)
        save(loss, path)
        print(f"The computation of the last row's loss, with the weights after the last update, is drawn in {path}")
        if options.html:
            page = save(loss, options.output / "article.html", history=result.history)
            print(f"A page to step through it, and through the epochs, is {page}")
    if options.plot:
        plot = options.output / "article.png"
        result.history.plot().savefig(plot, dpi=120)
        print(f"The error curve and the decision boundary are drawn in {plot}")
    return 0 if result.holds else 1


def print_epoch(epoch: int, history: History) -> None:
    print(f"Mean squared error: {history.article_printed_error[-1]}")
    print(f"epoch={epoch}")


def print_comparison(result: Replay, options: argparse.Namespace) -> None:
    if result.figures:
        width = max(len(figure.name) for figure in result.figures)
        print(f"{'':{width}}  {'printed':>23}  {'ours':>23}  difference")
        for figure in result.figures:
            difference = f"{figure.ours - figure.printed:10.1e}" + ("" if figure.holds else f"  more than {TOLERANCE}")
            print(f"{figure.name:{width}}  {figure.printed!r:>23}  {figure.ours!r:>23}  {difference}")
    elif options.seed is not None or options.update != "article":
        print("The article's printed figures belong to its own start and update: not compared.")
    else:
        print("The article prints figures from epoch 35 on: not compared.")
    program = "plain Python" if options.kind == "scalar" else "numpy"
    print(f"Hand-written ({program}) against computed, after every epoch: equal to the bit: {yes_no(result.equal)}")


def yes_no(answer: bool) -> str:
    return "yes" if answer else "no"
