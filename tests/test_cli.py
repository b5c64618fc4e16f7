"""The command line, as a person types it: in a process of its own."""

import os
import re
import subprocess
import sys

import pytest

from tinygrad_edu import __version__, cli
from tinygrad_edu.article import PRINTED
from tinygrad_edu.article import replay as replay_module


def run(*arguments, folder):
    command = [sys.executable, "-m", "tinygrad_edu", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)


def test_article_prints_the_articles_lines_compares_and_draws(tmp_path):
    done = run("article", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    errors = [float(line.removeprefix("Mean squared error: ")) for line in lines if line.startswith("Mean squared")]
    assert len(errors) == 40
    for epoch, printed in PRINTED["printed_errors"].items():
        assert errors[int(epoch)] == pytest.approx(printed, abs=1e-13)
    assert [line for line in lines if line.startswith("epoch=")] == [f"epoch={i}" for i in range(40)]
    assert sum(line.startswith("Neuron(weights=[") for line in lines) == 4
    assert lines.count("Expected=0, Got=0") == lines.count("Expected=1, Got=1") == 5
    assert sum(line.startswith(("error of epoch", "layers[0].", "layers[1].")) for line in lines) == 25
    assert "Hand-written (plain Python) against computed, after every epoch: equal to the bit: yes" in lines
    (remark,) = [line for line in lines if "docs/article-findings.md" in line]
    assert "mislabelled, which may rise; the true one went from 0.292 to 0.021" in remark
    svg = (tmp_path / "tinygrad-edu-output" / "article.svg").read_text("utf-8")
    assert svg.rstrip().endswith("</svg>")
    assert "article.svg" in lines[-1]


def test_output_that_is_piped_has_no_escape_codes_or_carriage_returns(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "tinygrad_edu", "article"], cwd=tmp_path, capture_output=True, check=True
    )
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\r" not in done.stdout.replace(b"\r\n", b"\n") + done.stderr.replace(b"\r\n", b"\n")


def test_options_choose_the_run(tmp_path, capsys):
    output = ["--output", str(tmp_path / "deep" / "folder")]
    assert cli.main(["article", "--kind", "dense", "--quiet", *output]) == 0
    printed = capsys.readouterr().out
    assert "Mean squared error" not in printed
    assert "Hand-written (numpy) against computed, after every epoch: equal to the bit: yes" in printed
    assert (tmp_path / "deep" / "folder" / "article.svg").exists()
    assert cli.main(["article", "--epochs", "3", *output]) == 0
    printed = capsys.readouterr().out
    assert printed.count("epoch=") == 3
    assert "from epoch 35 on: not compared" in printed
    assert cli.main(["article", "--seed", "5", "--update", "sgd", "--quiet", *output]) == 0
    assert "not compared" in capsys.readouterr().out
    assert cli.main(["article", "--epochs", "0", *output]) == 0


def test_a_page_and_a_plot_are_written_on_request(tmp_path, capsys):
    pytest.importorskip("matplotlib", reason='needs the extra "plot"')
    assert cli.main(["article", "--quiet", "--html", "--plot", "--output", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"article.svg", "article.html", "article.png"}
    page = (tmp_path / "article.html").read_text("utf-8")
    assert len(page.encode()) <= 150_000
    assert '"boundaries":' in page
    assert (tmp_path / "article.png").read_bytes().startswith(b"\x89PNG")
    printed = capsys.readouterr().out
    assert "article.html" in printed
    assert "article.png" in printed


def test_a_plot_without_matplotlib_is_refused_before_training(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["article", "--plot", "--output", str(tmp_path)])
    assert stopped.value.code == 2
    assert 'pip install "tinygrad_edu[plot]"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_same_seed_gives_the_same_run_and_another_seed_another(tmp_path, capsys):
    def printed(seed):
        assert cli.main(["article", "--seed", seed, "--epochs", "2", "--output", str(tmp_path)]) == 0
        return re.findall("Mean squared error: (.*)", capsys.readouterr().out)

    assert printed("1") == printed("1") != printed("2")


def test_the_exit_code_is_1_where_a_figure_does_not_hold(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(replay_module, "TOLERANCE", 1e-16)
    assert cli.main(["article", "--quiet", "--output", str(tmp_path)]) == 1
    assert "more than" in capsys.readouterr().out


def test_the_exit_code_is_1_where_the_hand_written_program_differs(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(replay_module.HandNetwork, "update", lambda self, row: None)
    assert cli.main(["article", "--quiet", "--output", str(tmp_path)]) == 1
    assert "equal to the bit: no" in capsys.readouterr().out


def test_without_dot_the_comparison_stands_and_the_way_to_a_picture_is_named(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(cli, "find_dot", lambda: None)
    assert cli.main(["article", "--quiet", "--output", str(tmp_path)]) == 0
    assert 'pip install "tinygrad_edu[dot]"' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("arguments", [["--epochs", "-1"], ["--epochs", "x"], ["--kind", "cubic"], ["--seed", "1.5"]])
def test_bad_arguments_are_refused_with_exit_code_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main(["article", *arguments])
    assert stopped.value.code == 2
    assert arguments[0] in capsys.readouterr().err


def test_an_output_that_is_no_folder_is_refused_before_training(tmp_path, capsys):
    file = tmp_path / "file"
    file.write_text("kept")
    with pytest.raises(SystemExit) as stopped:
        cli.main(["article", "--output", str(file)])
    assert stopped.value.code == 2
    captured = capsys.readouterr()
    assert "--output" in captured.err
    assert captured.out == ""
    assert file.read_text() == "kept"


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows say something else")
@pytest.mark.parametrize("arguments", [["article", "--epochs", "1"], ["operations"]])
def test_where_nobody_reads_on_it_ends_without_a_word_and_says_neither_right_nor_wrong(arguments, tmp_path):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "tinygrad_edu", *arguments]
    done = subprocess.run(command, cwd=tmp_path, stdout=writer, stderr=subprocess.PIPE, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_what_can_not_be_written_is_said_in_a_line_with_exit_code_3(tmp_path):
    command = [sys.executable, "-m", "tinygrad_edu", "operations"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3
    assert re.fullmatch(r"tinygrad-edu: .*No space left on device\n", done.stderr)


def test_version_and_help(tmp_path):
    assert run("--version", folder=tmp_path).stdout == f"tinygrad-edu {__version__}\n"
    shown = run("article", "--help", folder=tmp_path).stdout
    for option in ("--kind", "--epochs", "--seed", "--update", "--output", "--quiet"):
        assert option in shown
