"""Which modules import which: arrows point one way, but where operations and Values need each other."""

import ast
from pathlib import Path

import tinygrad_edu as tg

PACKAGE = Path(tg.__file__).parent
CIRCLE = ("tinygrad_edu.core", "tinygrad_edu.ops")
"""Values compute by operations, operations make Values: that is the recursion of differentiation itself."""


def modules():
    for path in PACKAGE.rglob("*.py"):
        name = ".".join(("tinygrad_edu", *path.relative_to(PACKAGE).with_suffix("").parts))
        yield name.removesuffix(".__init__"), path


NAMES = dict(modules())


def imported_by(name):
    """The library's modules that a module imports, at its top or within functions; not what only type checkers see."""
    tree = ast.parse(NAMES[name].read_text("utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in NAMES)
        elif isinstance(node, ast.ImportFrom) and node.module in NAMES:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in NAMES else node.module


ARROWS = {name: {to for to in imported_by(name) if to not in (name, "tinygrad_edu")} for name in NAMES}
ARROWS["tinygrad_edu.core.value"].remove("tinygrad_edu.drawing")  # the picture that a notebook asks a Value for
ARROWS["tinygrad_edu.nn"].discard("tinygrad_edu.article.update")  # shown where it has always been found
ARROWS["tinygrad_edu.nn.training"].discard("tinygrad_edu.nn")  # the counts that an update of the old form is given


def reachable(start):
    found, stack = set(), list(ARROWS[start])
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += ARROWS[name]
    return found


def test_no_module_imports_itself_by_way_of_others():
    circles = {name: sorted(to for to in reachable(name) if name in reachable(to)) for name in NAMES}
    assert [name for name, circle in circles.items() if circle and not all(x.startswith(CIRCLE) for x in circle)] == []


def test_the_core_knows_nothing_of_compiling_drawing_training_or_the_article():
    for name in NAMES:
        if name.startswith("tinygrad_edu.core"):
            assert {to.split(".")[1] for to in ARROWS[name]} <= {"core", "ops", "advice", "arguments"}, name
