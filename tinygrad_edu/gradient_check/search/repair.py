"""The right rule of a place: the formula, and the line of numpy that computes it, in the user's own names."""

from __future__ import annotations

import ast
from typing import Any

from tinygrad_edu.gradient_check.search.scene import Block, Rows, Scene
from tinygrad_edu.ops.indexing import is_basic


def formula_and_repair(scene: Scene, node: int, j: int | None) -> tuple[str, str]:
    """("∂tanh(x) = (1 - out²) · ∂out", "dz = dh * (1 - h**2)") for an input of a node; for a block where j is None."""
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
    return formula, line.format(**names_of(scene, block.source, block.last))


def of_rows(scene: Scene, rows: Rows) -> tuple[str, str]:
    axis = rows.axes[0] if len(rows.axes) == 1 else rows.axes
    names = names_of(scene, rows.source, rows.last)
    if rows.name == "softmax":
        line = "{dz} = {a} * ({da} - np.sum({da} * {a}, axis={axis}, keepdims=True))"
        return "∂z = p · (∂p - Σ(∂p · p))", line.format(axis=axis, **names)
    line = (
        "{dz} = ({da} - np.mean({da}, axis={axis}, keepdims=True)"
        " - {a} * np.mean({da} * {a}, axis={axis}, keepdims=True)) / np.sqrt(var + eps)"
    )
    return "∂x = (∂x̂ - mean(∂x̂) - x̂ · mean(∂x̂ · x̂)) / sqrt(var + eps)", line.format(axis=axis, **names)


def names_of(scene: Scene, source: int, last: int) -> dict[str, str]:
    """What a block's argument and result, and their gradients, are called."""
    a, z = scene.name(last), scene.name(source)
    da = gradient(a) if simple(a) else "dout"
    return {
        "a": a if simple(a) else "a",
        "z": z if simple(z) else "z",
        "da": da,
        "dz": gradient(z) if simple(z) else "dz",
    }


def simple(name: str) -> bool:
    """Whether a text is a variable, an attribute or an indexed one."""
    head, bracket, _ = name.partition("[")
    return head.replace(".", "_").isidentifier() and (not bracket or name.endswith("]"))


def gradient(name: str) -> str:
    """What a gradient is called: dW for W and self.W, d_in where there is no name for it."""
    if not simple(name):
        return "d_in"
    head, bracket, key = name.partition("[")
    return f"d{head.rpartition('.')[2]}{bracket}{key}"


RULES: dict[tuple[str, int], str] = {
    ("matmul", 0): "{d0} = {dout} @ {x1}.T",
    ("matmul", 1): "{d1} = {x0}.T @ {dout}",
    ("multiply", 0): "{d0} = {dout} * {x1}",
    ("multiply", 1): "{d1} = {dout} * {x0}",
    ("divide", 0): "{d0} = {dout} / {x1}",
    ("divide", 1): "{d1} = -{dout} * {x0} / {x1}**2",
    ("add", 0): "{d0} = {dout}",
    ("add", 1): "{d1} = {dout}",
    ("subtract", 0): "{d0} = {dout}",
    ("subtract", 1): "{d1} = -{dout}",
    ("negative", 0): "{d0} = -{dout}",
    ("exp", 0): "{d0} = {dout} * {out}",
    ("log", 0): "{d0} = {dout} / {x0}",
    ("sqrt", 0): "{d0} = {dout} / (2 * {out})",
    ("square", 0): "{d0} = 2 * {x0} * {dout}",
    ("power", 0): "{d0} = {x1} * {x0}**({x1} - 1) * {dout}",
    ("tanh", 0): "{d0} = {dout} * (1 - {out}**2)",
    ("sigmoid", 0): "{d0} = {dout} * {out} * (1 - {out})",
    ("relu", 0): "{d0} = {dout} * ({x0} > 0)",
    ("absolute", 0): "{d0} = {dout} * np.sign({x0})",
    ("sin", 0): "{d0} = {dout} * np.cos({x0})",
    ("cos", 0): "{d0} = -{dout} * np.sin({x0})",
    ("reshape", 0): "{d0} = {dout}.reshape({x0}.shape)",
    ("transpose", 0): "{d0} = {dout}.T",
    ("maximum", 0): "{d0} = {dout} * ({x0} > {x1})",
    ("maximum", 1): "{d1} = {dout} * ({x1} > {x0})",
    ("minimum", 0): "{d0} = {dout} * ({x0} < {x1})",
    ("minimum", 1): "{d1} = {dout} * ({x1} < {x0})",
}


def of_edge(scene: Scene, i: int, j: int) -> str:
    """The line for one input of a node; "" where none is plain."""
    tape = scene.tape
    op, p = tape.ops[i], tape.edges[i].get(j)
    if p is None:
        return ""
    names = edge_names(scene, i, j, p)
    if op in ("sum", "mean"):
        return of_reduction(scene, i, p, names)
    if op == "index":
        return of_index(scene, i, names)
    line = RULES.get((op, j))
    if line is None or (len(tape.shapes[i]) < 2 and op == "matmul"):
        return ""
    text = line.format(**names) + summed(scene, i, j, p, names)
    return text.replace(" = ", " += ", 1) if "[" in text.partition(" = ")[0] else text


def edge_names(scene: Scene, i: int, j: int, p: int) -> dict[str, str]:
    """What a node's result (out) and first two inputs (x0, x1), and their gradients (dout, d0, d1), are called."""
    tape = scene.tape
    out = scene.name(i)
    named = simple(out) and "[" not in out and i not in tape.seeds
    names = {"out": out if simple(out) else "out", "dout": gradient(out) if named else "dout"}
    for k in range(2):
        x = scene.operand(i, k) if k < len(tape.primals[i]) else ""
        known = simple(x) or is_number(x)
        names[f"x{k}"] = x if known else f"({x})" if x and "constant" not in x else "x"
        names[f"d{k}"] = gradient(x)
    if j < 2 and simple(name := scene.name(p)):
        names[f"d{j}"] = gradient(name)
    return names


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def summed(scene: Scene, i: int, j: int, p: int, names: dict[str, Any]) -> str:
    """The sum that undoes broadcasting, as a second statement."""
    tape = scene.tape
    wide, shape = tape.shapes[i], tape.shapes[p]
    if (i, j) not in tape.raw or wide == shape or tape.ops[i] not in ("add", "subtract", "multiply", "divide"):
        return ""
    added = len(wide) - len(shape)
    axes = tuple(range(added)) + tuple(added + k for k, n in enumerate(shape) if n == 1 and wide[added + k] != 1)
    axis = axes[0] if len(axes) == 1 else axes
    keep = ", keepdims=True" if any(a >= added for a in axes) else ""
    return f"; {names[f'd{j}']} = {names[f'd{j}']}.sum(axis={axis}{keep})"


def of_reduction(scene: Scene, i: int, p: int, names: dict[str, Any]) -> str:
    tape = scene.tape
    axis, keep = tape.nodes[i].params.get("axis"), tape.nodes[i].params.get("keepdims")
    g = names["dout"] if axis is None or keep else f"np.expand_dims({names['dout']}, {axis})"
    n = 1
    for a, size in enumerate(tape.shapes[p]):
        if axis is None or a in [q % len(tape.shapes[p]) for q in (axis if isinstance(axis, tuple) else (axis,))]:
            n *= size
    over = f" / {n}" if tape.ops[i] == "mean" else ""
    return f"{names['d0']} = {g} * np.ones_like({names['x0']}){over}"


def of_index(scene: Scene, i: int, names: dict[str, str]) -> str:
    """Where the forward pass reads x[key], the backward pass adds to dx[key]."""
    key = scene.tape.nodes[i].params["key"]
    array, text = subscript(scene.tape.places[i].text) or (names["x0"], "key")
    if is_basic(key):
        return f"{gradient(array)}[{text}] += {names['dout']}"
    return f"np.add.at({gradient(array)}, ({text}), {names['dout']})"


def subscript(text: str) -> tuple[str, str] | None:
    """The array and the key of x[key]."""
    try:
        node = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    return (ast.unparse(node.value), ast.unparse(node.slice)) if isinstance(node, ast.Subscript) else None
