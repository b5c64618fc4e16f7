"""The right rule of a place: the formula, and the line of numpy that computes it, in the user's own names.

The one thing to know: a line is given only if it can be pasted. Each of its names stands in the user's function and
holds there, at the end, what it held at the wrong line; what has no name is written as the user wrote it.
"""

from __future__ import annotations

import ast
import linecache
from functools import lru_cache
from types import CodeType
from typing import Any

from tinygrad_edu.gradient_check.search.scene import Block, Rows, Scene
from tinygrad_edu.ops.indexing import is_basic

LONGEST = 160
"""A longer line tells less than the formula does."""


def formula_and_repair(scene: Scene, node: int, j: int | None) -> tuple[str, str]:
    """("∂tanh(x) = (1 - out²) · ∂out", "dz = dh * (1 - h**2)") for an input of a node; for a block where j is None."""
    formula, line = formula_and_line(scene, node, j)
    return formula, line if can_be_pasted(scene, node, line) else ""


def formula_and_line(scene: Scene, node: int, j: int | None) -> tuple[str, str]:
    tape = scene.tape
    if node < tape.n_in:
        return "", ""
    if j is None:
        for rows in scene.rows:
            if rows.last == node:
                return of_rows(scene, rows)
        for block in scene.blocks:
            if block.last == node and block.name in BLOCKS:
                return of_block(scene, block)
    operation = tape.nodes[node].operation
    formula = operation.formula if operation else ""
    if j is None and len(tape.edges[node]) > 1 and any(b.last == node and len(b.inside) > 1 for b in scene.blocks):
        return formula, ""  # what a function of several steps hands on is no single line
    if j is None:
        j = next(iter(tape.edges[node]), None)
    return formula, of_edge(scene, node, j) if j is not None else ""


BLOCKS: dict[str, tuple[str, str]] = {
    "sigmoid": ("σ'(z) = a · (1 - a)", "{dz} = {da} * {a} * (1 - {a})"),
    "tanh": ("tanh'(z) = 1 - a²", "{dz} = {da} * (1 - {a}**2)"),
    "relu": ("relu'(z) = 1 where z > 0, else 0", "{dz} = {da} * ({z} > 0)"),
    "softplus": ("softplus'(z) = σ(z)", "{dz} = {da} / (1 + np.exp(-{z}))"),
    "log-sigmoid": ("log-sigmoid'(z) = 1 - σ(z)", "{dz} = {da} / (1 + np.exp({z}))"),
    "log(1-sigmoid)": ("log(1-sigmoid)'(z) = -σ(z)", "{dz} = -{da} / (1 + np.exp(-{z}))"),
    "exp": ("exp'(z) = exp(z)", "{dz} = {da} * {a}"),
}


def of_block(scene: Scene, block: Block) -> tuple[str, str]:
    formula, line = BLOCKS[block.name]
    return formula, filled(line, names_of(scene, block.source, block.last))


def of_rows(scene: Scene, rows: Rows) -> tuple[str, str]:
    axis = rows.axes[0] if len(rows.axes) == 1 else rows.axes
    names = {**names_of(scene, rows.source, rows.last), "axis": str(axis)}
    if rows.name == "softmax":
        line = "{dz} = {a} * ({da} - np.sum({da} * {a}, axis={axis}, keepdims=True))"
        return "∂z = p · (∂p - Σ(∂p · p))", filled(line, names)
    over = {"divide": " / ", "multiply": " * "}.get(scene.tape.ops[rows.last], "")
    scale = enclosed(scene.operand(rows.last, 1)) if over else ""
    line = (
        "{dz} = ({da} - np.mean({da}, axis={axis}, keepdims=True)"
        " - {a} * np.mean({da} * {a}, axis={axis}, keepdims=True)){over}{scale}"
    )
    formula = "∂x = (∂x̂ - mean(∂x̂) - x̂ · mean(∂x̂ · x̂)) / sqrt(var + eps)"
    return formula, filled(line, {**names, "over": over, "scale": scale})


def names_of(scene: Scene, source: int, last: int) -> dict[str, str]:
    """What a block's argument and result, and their gradients, are called."""
    z = scene.name(source)
    return {
        "a": enclosed(scene.name(last)),
        "z": enclosed(z),
        "da": arriving(scene, last),
        "dz": gradient(z) if simple(z) else "dz",
    }


def filled(line: str, names: dict[str, str]) -> str:
    """The line with its names put in; "" where one of those that it needs isn't known."""
    if any("{" + key + "}" in line and not text for key, text in names.items()):
        return ""
    return line.format(**names)


def parsed(text: str) -> ast.expr | None:
    """An expression; None for a text that isn't one, such as one that was cut off."""
    try:
        return ast.parse(text, mode="eval").body
    except SyntaxError:
        return None


def enclosed(text: str) -> str:
    """An expression as an operand, in brackets where it needs them; "" for what isn't one."""
    node = parsed(text)
    if node is None:
        return ""
    whole = isinstance(node, (ast.Name, ast.Attribute, ast.Subscript, ast.Call, ast.Constant)) or text == "-1"
    already = (node.col_offset, node.end_col_offset) == (1, len(text.encode()) - 1)
    return text if whole or already else f"({text})"


def bare(text: str) -> str:
    """An expression without brackets around all of it."""
    node = parsed(text)
    if node is not None and (node.col_offset, node.end_col_offset) == (1, len(text.encode()) - 1):
        return text[1:-1]
    return text


def simple(name: str) -> bool:
    """Whether a text is a variable, an attribute, or an entry of one."""
    node = parsed(name)
    if isinstance(node, ast.Subscript):
        node = node.value
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)


def gradient(name: str) -> str:
    """What a gradient is called: dW for W and self.W, d_in where there is no name for it."""
    if not simple(name):
        return "d_in"
    head, bracket, key = name.partition("[")
    return f"d{head.rpartition('.')[2]}{bracket}{key}"


def arriving(scene: Scene, i: int) -> str:
    """The gradient of a node as an operand: its name, dout of an output, 1 of a loss, else what its one reader gives.

    "" where several readers add to it, and it has no name.
    """
    tape = scene.tape
    name = scene.name(i)
    if i in tape.seeds and not tape.consumers[i]:
        if not tape.shapes[i] and float(tape.seeds[i]) == 1.0:
            return "1"
        if len(tape.seeds) == 1 and not tape.by_name:
            return "dout"
    if simple(name) and "[" not in name:
        return gradient(name)
    if i in tape.seeds or len(tape.consumers[i]) != 1:
        return ""
    return enclosed(right_side(scene, *tape.consumers[i][0]))


# The right sides: of what arrives (g), the result (out) and the first two inputs (a, b).
RULES: dict[tuple[str, int], str] = {
    ("matmul", 0): "{g} @ {b}.T",
    ("matmul", 1): "{a}.T @ {g}",
    ("multiply", 0): "{g} * {b}",
    ("multiply", 1): "{g} * {a}",
    ("divide", 0): "{g} / {b}",
    ("divide", 1): "-{g} * {a} / {b}**2",
    ("add", 0): "{g}",
    ("add", 1): "{g}",
    ("subtract", 0): "{g}",
    ("subtract", 1): "-{g}",
    ("negative", 0): "-{g}",
    ("exp", 0): "{g} * {out}",
    ("log", 0): "{g} / {a}",
    ("sqrt", 0): "{g} / (2 * {out})",
    ("square", 0): "2 * {a} * {g}",
    ("power", 0): "{b} * {a}**({b} - 1) * {g}",
    ("tanh", 0): "{g} * (1 - {out}**2)",
    ("sigmoid", 0): "{g} * {out} * (1 - {out})",
    ("relu", 0): "{g} * ({a} > 0)",
    ("absolute", 0): "{g} * np.sign({a})",
    ("sin", 0): "{g} * np.cos({a})",
    ("cos", 0): "-{g} * np.sin({a})",
    ("reshape", 0): "{g}.reshape({a}.shape)",
    ("transpose", 0): "{g}.T",
    ("maximum", 0): "{g} * ({a} > {b})",
    ("maximum", 1): "{g} * ({b} > {a})",
    ("minimum", 0): "{g} * ({a} < {b})",
    ("minimum", 1): "{g} * ({b} < {a})",
    ("fmax", 0): "{g} * ({a} > {b})",
    ("fmax", 1): "{g} * ({b} > {a})",
    ("fmin", 0): "{g} * ({a} < {b})",
    ("fmin", 1): "{g} * ({b} < {a})",
}


def of_edge(scene: Scene, i: int, j: int) -> str:
    """The line for one input of a node; "" where none is plain."""
    p = scene.tape.edges[i].get(j)
    if p is None:
        return ""
    if scene.tape.ops[i] == "index":
        return added_at(scene.tape.nodes[i].params["key"], scene.tape.places[i].text, arriving(scene, i))
    right = bare(right_side(scene, i, j))
    if not right:
        return ""
    name = scene.name(p)
    if simple(name) and "[" in name:
        key = scene.tape.nodes[p].params.get("key", 0) if p >= scene.tape.n_in else 0
        return added_at(key, name, right)
    first = max(scene.tape.consumers[p])[0] == i  # the others add to what it has
    return f"{gradient(name)} {'=' if first or not simple(name) else '+='} {right}"


def right_side(scene: Scene, i: int, j: int) -> str:
    """What one input of a node gets, as an expression; "" where there is no plain one."""
    tape = scene.tape
    op, p = tape.ops[i], tape.edges[i][j]
    line, g = RULES.get((op, j)), arriving(scene, i)
    if op in ("sum", "mean"):
        return of_reduction(scene, i, p, g)
    matrices = len(tape.shapes[i]) == len(tape.shapes[p]) == 2
    if line is None or not g or (op in ("matmul", "transpose") and not matrices):
        return ""
    names = {"g": g, "out": enclosed(scene.name(i))}
    for k, letter in enumerate("ab"):
        names[letter] = enclosed(scene.operand(i, k)) if k < len(tape.primals[i]) else ""
    squared = op == "multiply" and list(tape.edges[i].values()) == [p, p]  # both edges are one line
    if squared or (op, names["b"]) == ("power", "2"):
        line = RULES["square", 0]
    if g == "1" and "{g}." in line:
        return ""
    text = bare(filled(line, names).removeprefix("1 * "))
    return summed(scene, i, j, p, text) if text else ""


def summed(scene: Scene, i: int, j: int, p: int, text: str) -> str:
    """The expression with broadcasting undone."""
    tape = scene.tape
    wide, shape = tape.shapes[i], tape.shapes[p]
    if wide == shape or tape.ops[i] in ("matmul", "transpose", "reshape"):
        return text
    added = len(wide) - len(shape)
    axes = tuple(range(added)) + tuple(added + k for k, n in enumerate(shape) if n == 1 and wide[added + k] != 1)
    if not shape:
        return f"np.sum({text})"
    axis = axes[0] if len(axes) == 1 else axes
    keep = ", keepdims=True" if any(a >= added for a in axes) else ""
    return f"np.sum({text}, axis={axis}{keep})" if not keep or not added else ""


def of_reduction(scene: Scene, i: int, p: int, g: str) -> str:
    tape = scene.tape
    axis, keep = tape.nodes[i].params.get("axis"), tape.nodes[i].params.get("keepdims")
    x = scene.operand(i, 0)
    if not g or parsed(x) is None or (isinstance(axis, tuple) and not keep):
        return ""
    g = g if axis is None or keep else f"np.expand_dims({g}, {axis})"
    n = 1
    for a, size in enumerate(tape.shapes[p]):
        if axis is None or a in [q % len(tape.shapes[p]) for q in (axis if isinstance(axis, tuple) else (axis,))]:
            n *= size
    over = f" / {n}" if tape.ops[i] == "mean" else ""
    ones = f"np.ones_like({x})"
    return f"{ones}{over}" if g == "1" else f"{g} * {ones}{over}"


def added_at(key: Any, text: str, right: str) -> str:
    """Where the forward pass reads x[key], the backward pass adds to dx[key]; "" where that would be a copy."""
    node = parsed(text)
    if not right or not isinstance(node, ast.Subscript) or isinstance(node.value, ast.Subscript) or not simple(text):
        return ""
    array, where = gradient(ast.unparse(node.value)), ast.unparse(node.slice)
    if is_basic(key):
        return f"{array}[{where}] += {right}"
    sliced = any(isinstance(part, ast.Slice) for part in ast.walk(node.slice))
    return f"np.add.at({array}, {f'np.s_[{where}]' if sliced else where}, {right})"


# --- whether a line can be pasted


def can_be_pasted(scene: Scene, node: int, line: str) -> bool:
    """Whether one function on the way to a node has all the line's names, and none is bound anew."""
    if not line or len(line) > LONGEST:
        return False
    try:
        names = [n for n in ast.walk(ast.parse(line)) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    except SyntaxError:
        return False
    used = {n.id for n in names} - {"np", "dout"}
    for code, _ in scene.tape.places[node].frames:
        known = {*code.co_varnames, *code.co_names, *code.co_freevars, *code.co_cellvars}
        gradients = {name for name in used if name[0] == "d" and name[1:] in known}
        both_passes = any(name[0] == "d" and name[1:] in known for name in code.co_varnames)
        needed = used if both_passes else used - gradients
        if needed <= known and not (used - gradients) & bound_anew(code):
            return True
    return False


@lru_cache(256)
def bound_anew(code: CodeType) -> frozenset[str]:
    """The names of a function that are assigned, or changed in place, after they first got a value."""
    try:
        tree = ast.parse("".join(linecache.getlines(code.co_filename)))
    except SyntaxError:
        return frozenset()
    functions = [n for n in ast.walk(tree) if isinstance(n, (ast.FunctionDef, ast.Lambda))]
    own = [n for n in functions if first_line(n) == code.co_firstlineno]
    arguments = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    seen, again = set(arguments), set[str]()
    for function in own:
        for n in ast.walk(function):
            if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store):
                (again if n.id in seen else seen).add(n.id)
            if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
                again.add(n.target.id)
            if isinstance(n, ast.Subscript) and isinstance(n.ctx, ast.Store) and isinstance(n.value, ast.Name):
                again.add(n.value.id)
    return frozenset(again)


def first_line(node: ast.FunctionDef | ast.Lambda) -> int:
    decorators = node.decorator_list if isinstance(node, ast.FunctionDef) else []
    return min([node.lineno, *(d.lineno for d in decorators)])
