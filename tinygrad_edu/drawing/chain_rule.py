"""The chain rule for one gradient, written out: each path, its local derivatives, their product, and the sum.

The one thing to know: the sum is not added up here. It is what the backward walk gives, in the walk's order, so that it
equals the gradient to the last bit; the products are shown beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from tinygrad_edu.core.value import Value
from tinygrad_edu.drawing.calls import call_text
from tinygrad_edu.drawing.labels import printable
from tinygrad_edu.drawing.options import check_value
from tinygrad_edu.drawing.slopes import local_slopes
from tinygrad_edu.drawing.view import name_of
from tinygrad_edu.graph import order_between, pull_back

Format: TypeAlias = Literal["text", "latex", "markdown"]

MOST = 6
"""Rows and columns of a matrix that are written out in LaTeX."""


@dataclass(frozen=True)
class Step:
    """One step of a path: from the result of an operation to one of its inputs.

    Attributes:
        node: The operation's result.
        place: Which input the path goes on to.
        slope: The local derivative; None where there are arrays, whose local derivative is a matrix.
    """

    node: Value
    place: int
    slope: float | None


@dataclass(frozen=True)
class Explanation:
    """The chain rule for one gradient; `str` of it is the text in its format, and a notebook shows mathematics.

    Attributes:
        output: What is differentiated.
        wrt: By what.
        paths: Those that are written out.
        hidden: How many more there are, and `hidden_sum` what they come to.
        total: The derivative, equal to what a backward pass gives, to the last bit.
        names: What each Value is called.
        format: "text", "latex" or "markdown".
    """

    output: Value
    wrt: Value
    paths: list[list[Step]]
    hidden: int
    hidden_sum: float | None
    total: Any
    names: dict[Value, str]
    format: Format = "text"

    def __str__(self) -> str:
        if self.format == "latex":
            return self.latex()
        return self.markdown() if self.format == "markdown" else self.text()

    __repr__ = __str__

    def _repr_latex_(self) -> str:
        return f"$$\n{self.latex()}\n$$"

    def text(self) -> str:
        """For a terminal."""
        lines = [f"{self.of(self.output, self.wrt)}, by the chain rule over {self.count()}:"]
        for i, path in enumerate(self.paths):
            rows = [(self.definition(s), self.derivative(s), operation_formula(s.node)) for s in path]
            widths = [max(len(row[k]) for row in rows) for k in (0, 1)]
            for k, row in enumerate(rows):
                number = f"{i + 1}." if k == 0 else ""
                lines.append(f"{number:4}{row[0]:{widths[0]}}   {row[1]:{widths[1]}}   {row[2]}".rstrip())
            if product := written_product(path):
                lines.append(f"    product: {product}")
        return "\n".join([*lines, *self.hidden_lines(), f"sum: {self.of(self.output, self.wrt)} = {shown(self.total)}"])

    def markdown(self) -> str:
        """As tables, a path each."""
        lines = [f"**{self.of(self.output, self.wrt)}**, by the chain rule over {self.count()}:", ""]
        for i, path in enumerate(self.paths):
            lines += [f"| path {i + 1} | local derivative | rule |", "| --- | --- | --- |"]
            for s in path:
                cells = (self.definition(s), self.derivative(s), operation_formula(s.node))
                lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
            if product := written_product(path):
                lines += ["", f"product: {product}"]
            lines.append("")
        return "\n".join([*lines, *self.hidden_lines(), f"sum: {self.of(self.output, self.wrt)} = {shown(self.total)}"])

    def latex(self) -> str:
        """As aligned mathematics: the product of each path in symbols, then in numbers, and the sum."""
        left = self.fraction(self.output, self.wrt)
        symbols, numbers = [], []
        for path in self.paths:
            symbols.append(r" \cdot ".join(self.fraction(s.node, s.node.parents[s.place]) for s in path))
            numbers.append(r" \cdot ".join("J" if s.slope is None else latex_number(s.slope) for s in path))
        if self.hidden:
            symbols.append(r"\cdots")
            numbers.append(latex_number(self.hidden_sum) if self.hidden_sum is not None else r"\cdots")
        lines = [
            rf"{left} &= {join_terms(symbols)} \\",
            rf"&= {join_terms(numbers)} \\",
            f"&= {latex_total(self.total)}",
        ]
        if any(s.slope is None for path in self.paths for s in path):
            lines.pop(1)  # local derivatives of arrays are matrices, which have no short number
        return "\\begin{aligned}\n" + "\n".join(lines) + "\n\\end{aligned}"

    def count(self) -> str:
        n = len(self.paths) + self.hidden
        return f"{number_of_paths(n)} path{'s' if n != 1 else ''}"

    def hidden_lines(self) -> list[str]:
        if not self.hidden:
            return []
        sum_of_them = "" if self.hidden_sum is None else f", together {shown(self.hidden_sum)}"
        return [f"… and {number_of_paths(self.hidden)} more path{'s' if self.hidden != 1 else ''}{sum_of_them}"]

    def of(self, above: Value, below: Value) -> str:
        return f"∂{self.names[above]}/∂{self.names[below]}"

    def derivative(self, step: Step) -> str:
        parent = step.node.parents[step.place]
        value = f"matrix, {np.shape(parent.data)} to {step.node.shape}" if step.slope is None else shown(step.slope)
        return f"{self.of(step.node, parent)} = {value}"

    def definition(self, step: Step) -> str:
        """What the operation is applied to; of more than three inputs only the one that the path goes on to."""
        node = step.node
        inputs = [self.names[p] if isinstance(p, Value) else shown(p) for p in node.parents]
        if len(inputs) > 3:
            before, after = step.place > 0, step.place < len(inputs) - 1
            inputs = ["…"] * before + [inputs[step.place]] + ["…"] * after
        return f"{self.names[node]} = {call_text(node, inputs)}"

    def fraction(self, above: Value, below: Value) -> str:
        return rf"\frac{{\partial {latex_name(self.names[above])}}}{{\partial {latex_name(self.names[below])}}}"


def explain(loss: Value, wrt: Value, format: Format = "text", limit: int = 12) -> Explanation:
    """The chain rule for one gradient: every path from `loss` to `wrt`, with local derivatives, products, and the sum.

    Args:
        loss: A number.
        wrt: What it is differentiated by: a Value that it was made of.
        format: What `str` of the result is: "text", "latex" or "markdown".
        limit: How many paths are written out; the others are counted, and their sum is given.

    Raises:
        TypeError: `loss` or `wrt` isn't a Value.
        ValueError: `loss` isn't a number, doesn't depend on `wrt`, or there is no such format.

    >>> import tinygrad_edu as tg
    >>> x = tg.Value(3.0, name="x")
    >>> y = x * x + 2.0 * x
    >>> y.name = "y"
    >>> tg.explain(y, x)
    ∂y/∂x, by the chain rule over 3 paths:
    1.  y = add(v1, v2)       ∂y/∂v1 = 1   ∂(a+b) = ∂a + ∂b
        v1 = multiply(x, x)   ∂v1/∂x = 3   ∂(a·b) = b·∂a + a·∂b
        product: 1 · 3 = 3
    2.  y = add(v1, v2)       ∂y/∂v1 = 1   ∂(a+b) = ∂a + ∂b
        v1 = multiply(x, x)   ∂v1/∂x = 3   ∂(a·b) = b·∂a + a·∂b
        product: 1 · 3 = 3
    3.  y = add(v1, v2)       ∂y/∂v2 = 1   ∂(a+b) = ∂a + ∂b
        v2 = multiply(2, x)   ∂v2/∂x = 2   ∂(a·b) = b·∂a + a·∂b
        product: 1 · 2 = 2
    sum: ∂y/∂x = 8
    """
    if format not in ("text", "latex", "markdown"):
        raise ValueError(f'format must be "text", "latex" or "markdown", got {format!r}')
    check_value(loss, "loss must be a Value", "tg.explain({}, wrt)")
    check_value(wrt, "wrt must be one Value", "tg.explain(loss, wrt={})")
    if loss.ndim:
        raise ValueError(f"loss must be a number, got shape {loss.shape}")
    between = order_between([loss], [wrt])[::-1]
    if loss is not wrt and loss not in set(between):
        turned = ": the other way round it does, tg.explain(wrt, loss)" if order_between([wrt], [loss]) else ""
        new = "" if turned or wrt.operation is None else ": an expression such as x[0] makes a new Value each time"
        raise ValueError(f"loss doesn't depend on wrt{turned}{new}")
    seed = 1.0 if isinstance(loss.data, float) else np.ones_like(loss.data)
    (total,) = pull_back([loss], [seed], [wrt], create_graph=False)
    inside = {*between, wrt}
    counts = path_counts(between, inside, wrt)
    paths: list[list[Step]] = []
    for path in paths_from(loss, wrt, inside):
        if len(paths) == limit:
            break
        paths.append(path)
    hidden = counts[loss] - len(paths)
    products = [product_of(path) for path in paths]
    scalar = hidden and np.ndim(total) == 0 and None not in products
    rest = float(total) - sum(p for p in products if p is not None) if scalar else None
    return Explanation(loss, wrt, paths, hidden, rest, total, names_for(loss, between, wrt), format)


def number_of_paths(n: int) -> str:
    """A number that may have more digits than anybody reads."""
    return str(n) if n < 10**100 else f"about 10^{int(n.bit_length() * math.log10(2.0))}"


def path_counts(between: list[Value], inside: set[Value], wrt: Value) -> dict[Value, int]:
    """How many paths lead from each node to `wrt`."""
    counts = {wrt: 1}
    for node in between:
        if node is not wrt:
            counts[node] = sum(counts.get(p, 0) for p in node.parents if isinstance(p, Value) and p in inside)
    return counts


def paths_from(loss: Value, wrt: Value, inside: set[Value]) -> Iterator[list[Step]]:
    """All paths, depth first, inputs in order; without recursion, since a path may be long."""
    slopes: dict[Value, list[float | None]] = {}
    stack: list[tuple[Value, Any]] = [(loss, None)]  # with the way there, each step linked to the one before
    while stack:
        node, way = stack.pop()
        if node is wrt:
            path: list[Step] = []
            while way is not None:
                step, way = way
                path.append(step)
            yield path[::-1]
            continue
        if node not in slopes:
            slopes[node] = local_slopes(node)
        for place in range(len(node.parents) - 1, -1, -1):
            parent = node.parents[place]
            if isinstance(parent, Value) and parent in inside:
                stack.append((parent, (Step(node, place, slopes[node][place]), way)))


def names_for(loss: Value, between: list[Value], wrt: Value) -> dict[Value, str]:
    """A name for every Value that a line speaks of: its own, else v1, v2 …, from the loss on."""
    names: dict[Value, str] = {}
    counter = 0
    for node in [*reversed(between), wrt]:
        for value in [node, *(p for p in node.parents if isinstance(p, Value))]:
            if value in names:
                continue
            if name := name_of(value):
                names[value] = printable(name.replace("\n", " "))
            elif value is loss:
                names[value] = "result"
            else:
                counter += 1
                names[value] = f"v{counter}"
    return names


def product_of(path: list[Step]) -> float | None:
    product = 1.0
    for step in path:
        if step.slope is None:
            return None
        product *= step.slope
    return product


def written_product(path: list[Step]) -> str:
    product = product_of(path)
    if product is None or not path:
        return ""
    return " · ".join(shown(step.slope) for step in path) + f" = {shown(product)}"


def operation_formula(node: Value) -> str:
    return node.operation.formula if node.operation else ""


def shown(x: Any) -> str:
    """A number with six digits; an array in short."""
    if np.ndim(x) == 0:
        return f"{float(x) or 0.0:.6g}".replace("-", "−").replace("inf", "∞")
    return np.array2string(np.asarray(x), precision=6, threshold=12, separator=", ")


def latex_number(x: float | None) -> str:
    mantissa, _, exponent = f"{x or 0.0:.5g}".partition("e")
    if exponent:
        return rf"{mantissa} \times 10^{{{int(exponent)}}}"
    return mantissa.replace("inf", r"\infty").replace("nan", r"\mathrm{nan}")


def latex_total(total: Any) -> str:
    """A number, or a matrix: of a large one the first rows and columns, and dots."""
    if np.ndim(total) == 0:
        return latex_number(float(total))
    if np.size(total) == 0:
        return r"\begin{bmatrix} \end{bmatrix}"
    rows = np.asarray(total).reshape(-1, np.shape(total)[-1])
    lines = [[latex_number(x) for x in row[:MOST]] for row in rows[:MOST].tolist()]
    if rows.shape[1] > MOST:
        lines = [[*line, r"\cdots"] for line in lines]
    if rows.shape[0] > MOST:
        lines.append([r"\vdots"] * len(lines[0]))
    return r"\begin{bmatrix} " + r" \\ ".join(map(" & ".join, lines)) + r" \end{bmatrix}"


def latex_name(name: str) -> str:
    """A name as upright text in mathematics, with LaTeX's own characters escaped."""
    special = {"\\": r"\backslash{}", "^": r"\hat{}", "~": r"\sim{}", "$": r"\$", "\n": " "}
    escaped = "".join(special.get(c, "\\" + c if c in "#%&_{}" else c) for c in name)
    return escaped if len(name) == 1 else rf"\mathrm{{{escaped}}}"


def join_terms(terms: list[str]) -> str:
    return " + ".join(terms) if terms else "1"
