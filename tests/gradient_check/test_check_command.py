"""`tinygrad-edu check`: the report, and exit codes that a script can use."""

import numpy as np
import pytest

from tinygrad_edu import cli

SOURCE = """
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
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "student.py").write_text(SOURCE, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("module")
def test_check_prints_the_report_and_exits_with_0_or_1(capsys):
    inputs = ["--input", "0.5", "--input", "[1.0, -2.0]"]
    assert cli.main(["check", "student:loss", "--gradient", "student:right", *inputs]) == 0
    assert "gradient check passed: 3 entries" in capsys.readouterr().out
    assert cli.main(["check", "student:loss", "--gradient", "student:flipped", *inputs]) == 1
    assert "x: the sign of the gradient is flipped" in capsys.readouterr().out
    assert cli.main(["check", "student:traced", "--input", "0.5"]) == 0
    assert "passed" in capsys.readouterr().out


@pytest.mark.usefixtures("module")
def test_inputs_may_be_files(tmp_path, capsys):
    np.save(tmp_path / "w.npy", np.array([0.5, 1.0]))
    (tmp_path / "x.json").write_text("[1.0, 2.0]", "utf-8")
    files = ["--input", "w.npy", "--input", "x.json"]
    assert cli.main(["check", "student:loss", "--gradient", "student:right", *files]) == 0
    assert "4 entries" in capsys.readouterr().out


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["student", "--input", "1"], "must be MODULE:FUNCTION, got 'student'"),
        (["nowhere:loss", "--input", "1"], "there is no module 'nowhere'"),
        (["student:nothing", "--input", "1"], "student has no function 'nothing'"),
        (["student:loss", "--input", "one"], "neither a number, a list in JSON, nor a file"),
        (["student:loss"], "--input"),
        (["student:loss", "--gradient", "student:right", "--input", "1"], "missing 1 required positional argument"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said_with_exit_code_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["check", *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
