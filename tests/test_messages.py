"""What a newcomer's slips are answered with: the name that was meant, the order, what to write."""

import subprocess
import sys

import numpy as np
import pytest

import tinygrad_edu as tg
from tinygrad_edu.drawing import renderer


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("sigmod", "did you mean tg.sigmoid?"),
        ("Relu", "did you mean tg.relu?"),
        ("Tensor", "did you mean tg.Value?"),
        ("adam", "did you mean tg.nn.Adam?"),
        ("zeros", "numpy's is np.zeros"),
        ("nn.MSELoss", "did you mean tg.nn.mean_squared_error?"),
        ("nn.Netwrok", "did you mean tg.Network?"),
        ("nn.gradcheck", "did you mean tg.gradcheck?"),
    ],
)
def test_a_name_that_is_not_there_is_answered_with_the_one_that_was_meant(name, meant):
    module, _, own = name.rpartition(".")
    with pytest.raises(AttributeError, match="has no attribute") as caught:
        getattr(tg.nn if module else tg, own)
    assert str(caught.value).endswith(f": {meant}")


def test_a_name_that_resembles_nothing_and_a_private_one_get_no_guess():
    for name in ("qqqqq", "_sigmoi"):
        with pytest.raises(AttributeError) as caught:
            getattr(tg, name)
        assert str(caught.value) == f"module 'tinygrad_edu' has no attribute '{name}'"


TAKE_FUNCTIONS = (
    "grad", "value_and_grad", "elementwise_grad", "vjp", "jvp", "linearize", "jacobian", "hessian",
    "hessian_vector_product", "checkpoint", "custom_gradient", "follow", "compile",
)  # fmt: skip


def test_what_takes_a_function_says_so_at_once():
    value = tg.Value(2.0) * 3.0
    for name in TAKE_FUNCTIONS:
        arguments = ((1.0,), (1.0,)) if name == "jvp" else ()
        with pytest.raises(TypeError, match=rf"^{name} needs a function, got a Value: .*tg\.{name}\(f\)"):
            getattr(tg, name)(value, *arguments)
    with pytest.raises(TypeError, match="without quotes"):
        tg.grad("f")
    with pytest.raises(TypeError, match=r"argnum must be a whole number, .*got 3\.0: .*tg\.grad\(f\)\(x\)"):
        tg.grad(lambda x: x, 3.0)


def test_second_derivatives_of_lists_name_what_to_write():
    with pytest.raises(ValueError, match=r"hessian needs a number or an array, got a list: write np\.array"):
        tg.hessian(lambda x: x[0] * x[1])([1.0, 2.0])


def test_a_matrix_product_that_does_not_fit_says_which_lengths_differ():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2,\) don't fit: rows of the first .* 3, columns .* 2$"):
        tg.Value(np.ones((2, 3))) @ np.ones(2)
    with pytest.raises(ValueError, match=r"rows of the first have length 4, columns of the second 3$"):
        tg.matmul(np.ones((5, 2, 4)), tg.Value(np.ones((3, 4))))
    with pytest.raises(ValueError, match=r"write \* in place of @"):
        tg.Value(2.0) @ tg.Value(np.ones(2))
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) and \(3, 4, 5\) don't fit: "):
        tg.Value(np.ones((2, 3, 4))) @ np.ones((3, 4, 5))


def test_networks_say_what_to_write_for_sizes_targets_and_rates():
    with pytest.raises(TypeError, match=r"tg\.Network\.create\(\[2, 3, 2\]\)"):
        tg.Network([2, 3, 2])
    with pytest.raises(TypeError, match=r"sizes must be a list of whole numbers, inputs first"):
        tg.Network.create(2, 3, 2)
    with pytest.raises(ValueError, match=r"targets must be 2 numbers, one for each output, got 1"):
        tg.nn.half_squared_error([tg.Value(0.5), tg.Value(0.5)], 1)
    with pytest.raises(ValueError, match=r"rate must be finite and positive, got '0.1'"):
        tg.nn.SGD("0.1")
    network = tg.Network.create([2, 2], seed=0)
    network.layers[0].neurons[1].weights[0] = 1.0
    with pytest.raises(TypeError, match=r"write layers\[0\]\.neurons\[1\]\.weights\[0\]\.data = "):
        network.train([[0.0, 1.0]], [1], 1)


def test_files_in_folders_that_are_not_there_name_the_folder(tmp_path):
    network = tg.Network.create([2, 2], seed=0)
    for save in (network.save, lambda path: tg.save(tg.Value(1.0), path)):
        with pytest.raises(FileNotFoundError, match=r"there is no directory '.*nowhere' to write 'a.svg' in"):
            save(tmp_path / "nowhere" / "a.svg")
    with pytest.raises(TypeError, match=r"path must be the name of a file, got a Value: tg\.save\(value, path\)"):
        tg.save("a.svg", tg.Value(1.0))


def test_pictures_say_which_option_does_not_fit():
    y = tg.Value(1.0, name="x") * 2.0
    for function in (tg.draw, tg.stepper):
        for option in ({"depth": "1"}, {"max_nodes": "all"}, {"names": ["x"]}):
            with pytest.raises(TypeError, match=rf"{next(iter(option))} must be "):
                function(y, **option)
    with pytest.raises(TypeError, match="learning_rate must be a number"):
        tg.stepper(y, learning_rate="0.1")
    with pytest.raises(TypeError, match="history must be what"):
        tg.stepper(y, history=tg.Network.create([2, 2]))
    with pytest.raises(ValueError, match=r"the other way round it does, tg\.explain\(wrt, loss\)"):
        tg.explain(y.parents[0], y)
    x = tg.Value(np.ones(2))
    with pytest.raises(ValueError, match=r"doesn't depend on wrt: an expression such as x\[0\] makes a new Value"):
        tg.explain((x * x).sum(), x[0])


def test_a_pdf_without_the_systems_program_is_refused_in_words(monkeypatch, tmp_path):
    found = renderer.find_dot()
    if found is None:
        pytest.skip("no program that draws")
    monkeypatch.setattr(renderer, "find_dot", lambda: found.with_name("graphviz-pure"))
    with pytest.raises(RuntimeError, match="PDF needs the Graphviz program `dot`"):
        tg.save(tg.Value(1.0), tmp_path / "a.pdf")
    assert list(tmp_path.iterdir()) == []


def test_importing_the_library_does_not_import_what_only_errors_need():
    code = "import sys, tinygrad_edu; print('difflib' in sys.modules and 'tinygrad_edu.misspelt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_what_a_console_shows_of_pictures_pages_and_compiled_functions_is_a_line_that_says_what_to_do():
    y = tg.Value(1.0, name="x") * 2.0
    double = tg.compile(lambda x: x * 2.0)
    double(1.0)
    for thing, words in ((tg.draw(y), "tg.save(value"), (tg.stepper(y), "tg.save(loss"), (double, ".source")):
        assert words in repr(thing)
        assert len(repr(thing)) < 120
    assert str(tg.stepper(y)).startswith("<!doctype html>")
