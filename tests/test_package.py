"""The package: what importing it loads, and what it says of itself."""

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import tinygrad_edu as tg
from tinygrad_edu.extras import how_to_install

ROOT = Path(__file__).parent.parent


def test_importing_loads_numpy_and_nothing_optional():
    code = "import sys, tinygrad_edu; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "numpy" in loaded
    assert not {"graphviz", "hypothesis", "pytest", "matplotlib"} & set(loaded)


def test_every_public_name_is_there_and_listed():
    for name in tg.__all__:
        assert getattr(tg, name) is not None
        assert name in dir(tg)
    assert len(set(tg.__all__)) == len(tg.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'gradient_descent'"):
        tg.gradient_descent  # noqa: B018


def test_the_version_has_one_place():
    assert metadata.version("tinygrad_edu") == tg.__version__
    assert re.search(rf"^## {re.escape(tg.__version__)}", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)


def test_the_package_is_typed():
    assert (Path(tg.__file__).parent / "py.typed").exists()


def test_nothing_in_the_core_knows_the_article():
    package = Path(tg.__file__).parent
    face = package / "nn" / "__init__.py"  # which shows the article's update where it has always been found
    for path in package.rglob("*.py"):
        if "article" not in path.parts and path.name != "cli.py" and path != face:
            assert "tinygrad_edu.article" not in path.read_text("utf-8"), path


def test_every_message_that_names_an_extra_says_how_to_install_it_in_a_clone_too():
    root = ROOT / "tinygrad_edu"
    known = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = set()
    for path in root.rglob("*.py"):
        text = path.read_text("utf-8")
        assert "pip install" not in text or path.name == "extras.py", path
        named |= set(re.findall(r"how_to_install\([\"'](\w+)[\"']\)", text))
    assert named
    assert named <= set(known)
    assert how_to_install("plot").startswith('python -m pip install ".[plot]" in a clone')
