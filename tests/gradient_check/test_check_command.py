"""`tinygrad-edu check`: the report, and exit codes to rely on, whatever the code that is checked does."""

import json
import os
import time

import numpy as np
import pytest

from tinygrad_edu import cli

SOURCE = """
import os, sys, time
import numpy as np
import tinygrad_edu as tg

def loss(w, x):
    return float(np.sum(np.tanh(w * x)))

def right(w, x):
    slope = 1.0 - np.tanh(w * x) ** 2
    return np.sum(slope * x) if np.ndim(w) == 0 else slope * x, slope * w

def flipped(w, x):
    a, b = right(w, x)
    return a, -b

def traced(x):
    return tg.sin(x) * x

def affine_forward(x, w, b):
    print("forward was here")
    return x @ w + b, (x, w)

def affine_backward(dout, cache):
    x, w = cache
    return dout @ w.T, x.T @ dout, dout.sum(axis=0)

def svm(W, X, y, reg):
    scores = X @ W
    margins = np.maximum(0, scores - scores[np.arange(len(y)), y][:, None] + 1)
    margins[np.arange(len(y)), y] = 0
    active = (margins > 0) * 1.0
    active[np.arange(len(y)), y] -= active.sum(axis=1)
    return margins.sum() + reg * np.sum(W * W), X.T @ active + 2 * reg * W

class Double:
    def __init__(self):
        self.k = np.array([2.0])
    def forward(self, x):
        self.x = x
        return self.k * x
    def backward(self, dout):
        self.dk = np.array([np.sum(dout * self.x)])
        return self.k * dout

double = Double()

def leaves(w, x): sys.exit(0)
def really_leaves(w, x): os._exit(0)
def crashes(w, x): return 1 / 0
def hangs(w, x): time.sleep(60)
def aborts(w, x): os.abort()
"""
AFFINE = ["student:affine_forward", "--backward", "affine_backward"]
INPUTS = ["--input", "0.5", "--input", "[1.0, -2.0]"]


@pytest.fixture(autouse=True)
def student(tmp_path, monkeypatch):
    (tmp_path / "student.py").write_text(SOURCE, "utf-8")
    (tmp_path / "broken.py").write_text("def loss(w)\n", "utf-8")
    monkeypatch.chdir(tmp_path)


def check(*arguments):
    return cli.main(["check", *arguments])


def test_check_prints_the_report_and_exits_with_0_or_1(capsys):
    assert check("student:loss", "--gradient", "student:right", *INPUTS) == 0
    assert "gradient check passed: 3 entries" in capsys.readouterr().out
    assert check("student.py:loss", "--gradient", "flipped", *INPUTS) == 1
    assert "FAILED: 2 of 3 entries are wrong, in x" in capsys.readouterr().out
    assert check("student:traced", "--input", "0.5") == 0
    assert "passed" in capsys.readouterr().out


def test_layers_losses_and_objects_are_told_apart(capsys):
    arrays = ["--input", "[[1.0, 2.0]]", "--input", "[[0.5], [1.5]]", "--input", "[0.1]"]
    assert check("student.py:affine_forward", "--backward", "affine_backward", *arrays) == 0
    printed = capsys.readouterr()
    assert "5 entries" in printed.out
    assert "forward was here" not in printed.out
    assert "forward was here" in printed.err
    svm = ["--input", "[[0.5, 1.0], [-1.0, 0.2]]", "--input", "[[1.0, 2.0]]", "--input", "[1]", "--input", "0.1"]
    assert check("student:svm", *svm, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"]
    assert report["inputs"] == ["W"]
    assert check("student:double", "--input", "[1.0, 2.0]", "--language", "zh") == 0
    assert "梯度检查通过：3 个元素" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("gradient", "message"),
    [
        ("leaves", "calls sys.exit(0) before the check is done"),
        ("really_leaves", "ended its process with exit code 0, before the check was done"),
        ("crashes", "division by zero"),
        pytest.param("aborts", "by signal", marks=pytest.mark.skipif(os.name != "posix", reason="signals")),
    ],
)
def test_code_that_leaves_or_crashes_neither_passes_nor_is_wrong(gradient, message, capsys):
    assert check("student:loss", "--gradient", gradient, *INPUTS, "--json") == 3
    printed = capsys.readouterr()
    assert message in printed.err
    assert json.loads(printed.out)["passed"] is False


def test_a_traceback_shows_the_codes_own_lines_only(capsys):
    check("student:loss", "--gradient", "crashes", *INPUTS)
    shown = capsys.readouterr().err
    assert "student.py" in shown
    assert "gradient_check" not in shown


def test_code_that_hangs_is_ended(capsys):
    start = time.monotonic()
    assert check("student:loss", "--gradient", "hangs", *INPUTS, "--time-limit", "2") == 3
    assert time.monotonic() - start < 40
    assert "no answer within 2 s" in capsys.readouterr().err


def test_inputs_may_be_files(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.array([0.5, 1.0]))
    (tmp_path / "x.json").write_text("[1.0, 2.0]", "utf-8")
    files = ["--input", "w.npy", "--input", "x.json"]
    assert check("student:loss", "--gradient", "student:right", *files) == 0
    assert "4 entries" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["student", "--input", "1"], "a function is named MODULE:FUNCTION or FILE.py:FUNCTION, got 'student'"),
        (["nowhere:loss", "--input", "1"], "there is no module 'nowhere'"),
        (["nowhere.py:loss", "--input", "1"], "there is no file 'nowhere.py'"),
        (["student:nothing", "--input", "1"], "student has no function 'nothing'"),
        (["student:los", "--input", "1"], "student has no function 'los': did you mean loss?"),
        (["student:traced", "--input", "1", "--wrt", "x"], "--wrt is for layers, and for losses that give"),
        (["student:loss", "--input", "one"], "neither a number, a list or dict in JSON, nor a file"),
        (["student:traced", "--input", "[]"], "the input '[]' is empty"),
        (["student:loss"], "--input"),
        (["student:loss", "--gradient", "right", "--input", "1"], "missing a required argument: 'x'"),
        (["student:Double", "--input", "1"], "is a class"),
        ([*AFFINE, "--input", "[[1, 2]]", "--input", "[[1], [2]]", "--input", "[0]"], "differentiated with --wrt"),
        ([*AFFINE, "--input", "[[1.0]]", "--input", "[[1.0]]", "--input", "[0.0]", "--wrt", "q"], "--wrt names 'q'"),
        (["student:traced", "--input", "1", "--time-limit", "0"], "must be a number above 0"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_with_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        check(*arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_read_as_python_could_not_be_run(capsys):
    assert check("broken:loss", "--input", "1") == 3
    assert "SyntaxError" in capsys.readouterr().err
