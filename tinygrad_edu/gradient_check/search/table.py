"""The table of diagnoses: for each kind of mistake what is changed, and an example that it explains.

The one thing to know: a new diagnosis is one more entry. Its example is its test, and a row of docs/diagnoses.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tinygrad_edu.gradient_check.search import (
    accumulation,
    activations,
    broadcasts,
    calls,
    choices,
    cotangents,
    entries,
    loops,
    rules,
)
from tinygrad_edu.gradient_check.search.change import Propose, Say


class Example(NamedTuple):
    """Code that makes the mistake.

    Attributes:
        shapes: The shapes of the inputs, by name.
        forward: The body of `forward` of these inputs.
        backward: The body of the backward pass, with the mistake marked by a comment.
    """

    shapes: Mapping[str, tuple[int, ...]]
    forward: str
    backward: str


class Hypothesis(NamedTuple):
    """A kind of mistake.

    Attributes:
        kind: What it is called in `Finding.kind`.
        what: What is wrong, in general.
        hint: What to look for.
        propose: The changes that make it, at all places of a computation; none for kinds that are read off an input's
            gradient as a whole.
        example: Code that makes it.
    """

    kind: str
    what: Say
    hint: str
    propose: tuple[Propose, ...]
    example: Example


def example(shapes: Mapping[str, tuple[int, ...]], forward: str, backward: str) -> Example:
    return Example(shapes, forward.strip(), backward.strip())


XW = {"x": (4, 3), "W": (3, 2)}
ROWS = {"x": (4, 3)}
SQUARE = {"x": (4, 3), "W": (3, 3)}
LAYER = {"x": (5, 3), "W": (3, 2), "b": (2,)}
TANH = """
h = np.tanh(x @ W + b)
return np.sum(h**2) / 4
"""

TABLE: list[Hypothesis] = [
    Hypothesis(
        "path missing",
        Say("a part of the gradient doesn't arrive: one of the paths to a variable is forgotten"),
        "A variable that is used in several places gets the sum of what comes from each.",
        (rules.scaled, accumulation.several_paths, accumulation.outputs_ignored),
        example(
            SQUARE,
            """
h = x + np.tanh(x @ W)
return np.sum(h**2)
""",
            """
a = np.tanh(x @ W)
dh = 2 * (x + a)
dz = dh * (1 - a**2)
dx = dz @ W.T  # + dh is missing: the skip connection
return dx, x.T @ dz
""",
        ),
    ),
    Hypothesis(
        "sign",
        Say("a sign is wrong"),
        "d(a - b)/db = -1, d(-a)/da = -1, d(1/a)/da = -1/a².",
        (),
        example(
            {"x": (4, 3), "y": (4, 3)},
            """
e = np.tanh(x) - np.tanh(y)
return np.sum(e**2)
""",
            """
e = np.tanh(x) - np.tanh(y)
dx = 2 * e * (1 - np.tanh(x) ** 2)
dy = 2 * e * (1 - np.tanh(y) ** 2)  # the minus is missing
return dx, dy
""",
        ),
    ),
    Hypothesis(
        "factor",
        Say("a constant factor is missing or too much: 2, 1/2, the number of rows, a number of the line"),
        "Write down by what the forward pass divides, and where the squares are.",
        (),
        example(
            XW,
            """
p = x @ W
return np.mean(p**2)
""",
            """
p = x @ W
dp = 2 * p  # / p.size is missing
return dp @ W.T, x.T @ dp
""",
        ),
    ),
    Hypothesis(
        "derivative left out",
        Say("the derivative of an activation, or of another function of one variable, is left out"),
        "Each function on the way multiplies what arrives by its derivative at its own input.",
        (activations.left_out, rules.passed_on, rules.maxima_left_out, calls.whole_calls),
        example(
            LAYER,
            TANH,
            """
h = np.tanh(x @ W + b)
dz = h / 2  # * (1 - h**2) is missing
return dz @ W.T, x.T @ dz, dz.sum(axis=0)
""",
        ),
    ),
    Hypothesis(
        "derivative twice",
        Say("a derivative is multiplied in twice"),
        "Look whether the line before has it already.",
        (activations.twice,),
        example(
            LAYER,
            TANH,
            """
h = np.tanh(x @ W + b)
dh = h / 2 * (1 - h**2)
dz = dh * (1 - h**2)  # once more
return dz @ W.T, x.T @ dz, dz.sum(axis=0)
""",
        ),
    ),
    Hypothesis(
        "divided by the derivative",
        Say("divided by a derivative, not multiplied"),
        "The chain rule multiplies.",
        (activations.divided,),
        example(
            LAYER,
            TANH,
            """
h = np.tanh(x @ W + b)
dz = h / 2 / (1 - h**2)  # * for /
return dz @ W.T, x.T @ dz, dz.sum(axis=0)
""",
        ),
    ),
    Hypothesis(
        "derivative at the wrong place",
        Say(
            "a derivative is computed from the activation, the gradient or another variable, not from its own argument"
        ),
        "A derivative is taken at its function's own argument z: f'(z), never f' of f(z) or of what arrives.",
        (activations.elsewhere, activations.by_result),
        example(
            LAYER,
            TANH,
            """
h = np.tanh(x @ W + b)
dz = h / 2 * (1 - np.tanh(h) ** 2)  # tanh of tanh
return dz @ W.T, x.T @ dz, dz.sum(axis=0)
""",
        ),
    ),
    Hypothesis(
        "another slope",
        Say(
            "something else is multiplied in where the derivative belongs: the value, a mask the wrong way round, 1 - a"
        ),
        "Derive the function by hand once more, and compare.",
        (activations.another_slope,),
        example(
            LAYER,
            TANH,
            """
h = np.tanh(x @ W + b)
dz = h / 2 * (1 - h)  # the square is missing
return dz @ W.T, x.T @ dz, dz.sum(axis=0)
""",
        ),
    ),
    Hypothesis(
        "labels",
        Say("the label's 1 is missing in the derivative of a log of a sigmoid, or in the wrong case"),
        "d(-log σ(z))/dz = σ(z) - 1, d(-log(1 - σ(z)))/dz = σ(z).",
        (activations.labels,),
        example(
            {"z": (5,)},
            """
p = 1 / (1 + np.exp(-z))
return -np.sum(np.log(p))
""",
            """
p = 1 / (1 + np.exp(-z))
return p  # p - 1
""",
        ),
    ),
    Hypothesis(
        "condition",
        Say("the condition of a choice, or a mask, is the wrong way round, or is left out"),
        "The backward pass uses the very condition of the forward pass: np.where(z > 0, dout, alpha * dout).",
        (choices.branches, choices.greater, choices.masks),
        example(
            {"e": (7,)},
            """
e = 2 * e
small = np.abs(e) <= 1
return np.sum(np.where(small, 0.5 * e**2, np.abs(e) - 0.5))
""",
            """
e = 2 * e
small = np.abs(e) <= 1
return 2 * np.where(~small, e, np.sign(e))  # small
""",
        ),
    ),
    Hypothesis(
        "factor left out",
        Say("the other factor of a product is left out"),
        "d(a·b)/da = b. A scale, a mask or a gate is such a factor.",
        (rules.factor_left_out, rules.inner_factors, rules.whole_factors),
        example(
            {"x": (4, 3), "gamma": (3,)},
            """
out = np.tanh(x) * gamma
return np.sum(out**2)
""",
            """
t = np.tanh(x)
dout = 2 * t * gamma
dx = dout * (1 - t**2)  # * gamma is missing
return dx, np.sum(dout * t, axis=0)
""",
        ),
    ),
    Hypothesis(
        "wrong variable",
        Say("multiplied by the wrong variable, or by that of another turn of the loop"),
        "d(a·b)/da = b: b as it was when the product was made.",
        (rules.wrong_variable, rules.wrong_numerator, rules.powers, rules.nearby_factors, loops.windows_elsewhere),
        example(
            LAYER,
            """
z = x @ W + b
h = np.tanh(z)
return np.sum(h * h * z)
""",
            """
z = x @ W + b
h = np.tanh(z)
dz = h * h + 2 * h * h * (1 - h**2)  # 2 * h * z
return dz @ W.T, x.T @ dz, dz.sum(axis=0)
""",
        ),
    ),
    Hypothesis(
        "matrix not transposed",
        Say("a matrix isn't transposed, or the order of a product is wrong"),
        "For out = x @ W: dx = dout @ W.T, dW = x.T @ dout.",
        (rules.matrices, rules.matrix_everywhere),
        example(
            SQUARE,
            """
h = np.tanh(x @ W)
return np.sum(h**2)
""",
            """
h = np.tanh(x @ W)
dz = 2 * h * (1 - h**2)
return dz @ W, x.T @ dz  # W.T
""",
        ),
    ),
    Hypothesis(
        "kernel flipped",
        Say("a kernel or window is flipped, or isn't where it should be"),
        "A window's gradient is the kernel as it is; written as a convolution, the kernel is turned by 180 degrees.",
        (rules.flipped_kernel,),
        example(
            {"x": (6,), "k": (3,)},
            """
total = 0.0
for i in range(4):
    total = total + np.tanh(np.sum(x[i : i + 3] * k))
return total
""",
            """
dx, dk = np.zeros_like(x), np.zeros_like(k)
for i in range(4):
    d = 1 - np.tanh(np.sum(x[i : i + 3] * k)) ** 2
    dx[i : i + 3] += d * k[::-1]  # k
    dk += d * x[i : i + 3]
return dx, dk
""",
        ),
    ),
    Hypothesis(
        "broadcasting",
        Say("broadcasting is undone by the mean, one row or the wrong axis, not by the sum over rows"),
        "A bias that is added to each row gets the sum over rows: db = dout.sum(axis=0).",
        (broadcasts.broadcasting,),
        example(
            LAYER,
            TANH,
            """
h = np.tanh(x @ W + b)
dz = h / 2 * (1 - h**2)
return dz @ W.T, x.T @ dz, dz.mean(axis=0)  # sum
""",
        ),
    ),
    Hypothesis(
        "diagonal only",
        Say("a sum over all entries is treated as if each entry had its own alone"),
        "What divides or is subtracted from all entries depends on all of them.",
        (broadcasts.diagonal,),
        example(
            ROWS,
            """
e = x**2
n = np.sum(e, axis=1, keepdims=True)
return np.sum((e / n) * np.arange(3.0))
""",
            """
e = x**2
n = np.sum(e, axis=1, keepdims=True)
w = np.arange(3.0)
de = w / n - w * e / n**2  # - np.sum(w * e, axis=1, keepdims=True) / n**2
return de * 2 * x
""",
        ),
    ),
    Hypothesis(
        "softmax",
        Say("softmax's derivative is left out, or is the diagonal of its Jacobian, or is summed over the wrong axis"),
        "dz = p * (dp - np.sum(dp * p, axis=-1, keepdims=True)); with cross-entropy, dz = p - y.",
        (activations.softmaxes,),
        example(
            {"z": (4, 3)},
            """
e = np.exp(z - np.max(z, axis=1, keepdims=True))
p = e / np.sum(e, axis=1, keepdims=True)
return np.sum(p**3)
""",
            """
e = np.exp(z - np.max(z, axis=1, keepdims=True))
p = e / np.sum(e, axis=1, keepdims=True)
return 3 * p**2 * p * (1 - p)  # the diagonal alone
""",
        ),
    ),
    Hypothesis(
        "normalisation",
        Say("batch or layer normalisation: a path through mean or variance, a factor or an axis is wrong"),
        "dx = (dxhat - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0)) / np.sqrt(var + eps).",
        (activations.normalisations,),
        example(
            {"x": (5, 3), "gamma": (3,)},
            """
mean = x.mean(axis=0)
var = x.var(axis=0)
xhat = (x - mean) / np.sqrt(var + 1e-5)
return np.sum((gamma * xhat) ** 3)
""",
            """
s = 1 / np.sqrt(x.var(axis=0) + 1e-5)
xhat = (x - x.mean(axis=0)) * s
dout = 3 * (gamma * xhat) ** 2
dxhat = dout * gamma
return dxhat * s, (dout * xhat).sum(axis=0)  # - dxhat.mean(0) - xhat * (dxhat * xhat).mean(0)
""",
        ),
    ),
    Hypothesis(
        "statistics constant",
        Say("what was computed from all entries, such as a mean or a maximum, is treated as a constant"),
        "A mean depends on every entry: each gets a share back through it.",
        (accumulation.statistics,),
        example(
            {"x": (5, 3)},
            """
mean = np.mean(x, axis=0)
size = np.sum(x * x)
return np.sum((x - mean) ** 3 / size)
""",
            """
d = x - np.mean(x, axis=0)
return 3 * d**2 / np.sum(x * x)
""",
        ),
    ),
    Hypothesis(
        "= for +=",
        Say("`=` in place of `+=`: where several parts are to be added, one overwrites the others"),
        "Start from zeros and add: windows overlap, steps share weights, a variable is used twice.",
        (accumulation.overwritten, accumulation.one_kept),
        example(
            {"x": (6,), "k": (3,)},
            """
total = 0.0
for i in range(4):
    total = total + np.tanh(np.sum(x[i : i + 3] * k))
return total
""",
            """
dx, dk = np.zeros_like(x), np.zeros_like(k)
for i in range(4):
    d = 1 - np.tanh(np.sum(x[i : i + 3] * k)) ** 2
    dx[i : i + 3] = d * k  # +=
    dk += d * x[i : i + 3]
return dx, dk
""",
        ),
    ),
    Hypothesis(
        "repeated index",
        Say("an index that occurs several times is counted once"),
        "np.add.at(g, key, d) adds each; g[key] += d doesn't.",
        (entries.repeated_index, entries.repeats, entries.entries_forgotten),
        example(
            {"table": (5, 3)},
            """
rows = table[[1, 3, 3, 0]]
return np.sum(np.tanh(rows) ** 2)
""",
            """
rows = np.tanh(table[[1, 3, 3, 0]])
g = np.zeros_like(table)
g[[1, 3, 3, 0]] += 2 * rows * (1 - rows**2)  # np.add.at
return g
""",
        ),
    ),
    Hypothesis(
        "shifted",
        Say("put back into the wrong entries: shifted, at another stride, all into the first"),
        "The backward pass writes to the very entries that the forward pass read.",
        (
            entries.shifts,
            entries.other_stride,
            entries.first_channel,
            choices.labels_elsewhere,
            choices.labels_replaced,
        ),
        example(
            {"x": (7,), "k": (3,)},
            """
total = 0.0
for i in range(3):
    total = total + np.tanh(np.sum(x[2 * i : 2 * i + 3] * k))
return total
""",
            """
dx, dk = np.zeros_like(x), np.zeros_like(k)
for i in range(3):
    window = x[2 * i : 2 * i + 3]
    d = 1 - np.tanh(np.sum(window * k)) ** 2
    dx[i : i + 3] += d * k  # 2 * i
    dk += d * window
return dx, dk
""",
        ),
    ),
    Hypothesis(
        "reshape and transpose",
        Say("an array is reshaped where it should be transposed back, or the transpose is left out"),
        "Undo the steps in the reverse order: a transpose by the inverse transpose, then a reshape.",
        (entries.transposes, entries.tiled, entries.exchanged_indices),
        example(
            {"x": (2, 3)},
            """
y = x.T
return np.sum(np.arange(6.0).reshape(3, 2) * y**2)
""",
            """
dy = 2 * np.arange(6.0).reshape(3, 2) * x.T
return dy.reshape(2, 3)  # dy.T
""",
        ),
    ),
    Hypothesis(
        "maximum",
        Say("a maximum's gradient goes to all entries, or each of several maxima gets all of it"),
        "Give it to one of them (argmax), or each its share.",
        (entries.ties, entries.maxima),
        example(
            {"x": (6,)},
            """
twice = np.arange(6) < 3
y = np.stack([x, np.where(twice, x, x - 1)])
top = np.max(y, axis=0)
return np.sum(top**2)
""",
            """
twice = np.arange(6) < 3
y = np.stack([x, np.where(twice, x, x - 1)])
dy = 2 * x * (y == np.max(y, axis=0))  # / the number of ties
return dy[0] + dy[1]
""",
        ),
    ),
    Hypothesis(
        "one entry only",
        Say("what was summed gets its gradient in the first or the last entry only"),
        "Each term of a sum gets the whole gradient of the sum.",
        (entries.one_entry,),
        example(
            ROWS,
            """
s = np.sum(x, axis=0)
return np.sum(np.tanh(s))
""",
            """
g = np.zeros_like(x)
g[0] = 1 - np.tanh(np.sum(x, axis=0)) ** 2  # g[:]
return g
""",
        ),
    ),
    Hypothesis(
        "not carried through the loop",
        Say("nothing is carried back from one turn of a loop to the one before, as through time"),
        "dh of a step is what its own output gives, plus what the next step hands back.",
        (accumulation.carried,),
        example(
            {"W": (3, 3), "x": (4, 3)},
            """
h = np.zeros(3)
total = 0.0
for t in range(4):
    h = np.tanh(x[t] + h @ W)
    total = total + np.sum(h**2)
return total
""",
            """
hs = [np.zeros(3)]
for t in range(4):
    hs.append(np.tanh(x[t] + hs[-1] @ W))
dW, dx = np.zeros_like(W), np.zeros_like(x)
for t in reversed(range(4)):
    dh = 2 * hs[t + 1]  # + the next step's dz @ W.T
    dz = dh * (1 - hs[t + 1] ** 2)
    dW += np.outer(hs[t], dz)
    dx[t] = dz
return dW, dx
""",
        ),
    ),
    Hypothesis(
        "turns of a loop",
        Say("a loop of the backward pass is left too early, leaves out a turn, or adds up what it hands on"),
        "Go through the same turns, in the reverse order; dh_next is set in each turn, gradients of weights are added.",
        (loops.cut_short, loops.carried_otherwise),
        example(
            {"W": (3, 3), "x": (4, 3)},
            """
h = np.zeros(3)
for t in range(4):
    h = np.tanh(x[t] + h @ W)
return np.sum(h**3)
""",
            """
hs = [np.zeros(3)]
for t in range(4):
    hs.append(np.tanh(x[t] + hs[-1] @ W))
dW, dx, dh = np.zeros_like(W), np.zeros_like(x), 3 * hs[4] ** 2
for t in reversed(range(4)):
    dz = dh * (1 - hs[t + 1] ** 2)
    dW += np.outer(hs[t], dz)
    dx[t] = dz
    dh = dh + dz @ W.T  # dz @ W.T alone
return dW, dx
""",
        ),
    ),
    Hypothesis(
        "wrong gradient taken",
        Say("a line starts from the gradient of another variable than its own result"),
        "Name each gradient after its variable: dz comes from dh, not from dout.",
        (cotangents.wrong_cotangent, activations.by_result_of),
        example(
            {"x": (4, 3), "W": (3, 3), "V": (3, 3)},
            """
h = np.tanh(x @ W)
o = np.tanh(h @ V)
return np.sum(o**3)
""",
            """
h = np.tanh(x @ W)
o = np.tanh(h @ V)
do = 3 * o**2
dz = do * (1 - o**2)
dh = do @ V.T  # dz
dy = dh * (1 - h**2)
return dy @ W.T, x.T @ dy, h.T @ dz
""",
        ),
    ),
    Hypothesis(
        "extra derivative",
        Say("a derivative is multiplied in where no such function is: with cross-entropy, p - y has softmax's already"),
        "For softmax with cross-entropy, and sigmoid with its log loss, dz = p - y and nothing more.",
        (cotangents.extra_derivative, cotangents.changed_in_place),
        example(
            XW,
            """
z = x @ W
e = np.exp(z)
p = e / np.sum(e, axis=1, keepdims=True)
return -np.sum(np.log(p[np.arange(4), [0, 1, 1, 0]]))
""",
            """
e = np.exp(x @ W)
p = e / np.sum(e, axis=1, keepdims=True)
d = p.copy()
d[np.arange(4), [0, 1, 1, 0]] -= 1
d = d * p * (1 - p)  # it is in p - y already
return d @ W.T, x.T @ d
""",
        ),
    ),
    Hypothesis(
        "siblings exchanged",
        Say("the gradients of two parts of one array are exchanged, such as those of two gates"),
        "Stack gradients in the order in which the forward pass takes the parts.",
        (cotangents.siblings, cotangents.joined_parts, rules.factors_exchanged, rules.factors_of_two_lines),
        example(
            {"z": (6,)},
            """
a = np.tanh(z[:3])
b = 1 / (1 + np.exp(-z[3:]))
return np.sum(a * b)
""",
            """
a = np.tanh(z[:3])
b = 1 / (1 + np.exp(-z[3:]))
return np.concatenate([a * b * (1 - b), b * (1 - a**2)])
""",
        ),
    ),
    Hypothesis(
        "input taken as 1",
        Say("a scale is left out in all that lies behind it"),
        "A factor that stands outside of a formula belongs to each of its terms.",
        (accumulation.taken_as_one, accumulation.constants_as_one),
        example(
            {"x": (4, 3), "g": (3,)},
            """
y = x * g
return np.sum(np.tanh(y) + y * y)
""",
            """
y = x * g
dg = ((1 - np.tanh(y) ** 2 + 2 * y) * x).sum(axis=0)
return 1 - np.tanh(x) ** 2 + 2 * x, dg  # y for x, and * g
""",
        ),
    ),
    Hypothesis(
        "another constant",
        Say("a constant such as eps is in one of the passes only, or stands elsewhere in the other"),
        "Compute the backward pass from the very numbers of the forward pass.",
        (accumulation.other_constant,),
        example(
            ROWS,
            """
r = np.sqrt(np.sum(x * x, axis=1, keepdims=True) + 0.1)
return np.sum(np.arange(3.0) * x / r)
""",
            """
r = np.sqrt(np.sum(x * x, axis=1, keepdims=True))  # + 0.1
w = np.arange(3.0)
return w / r - x * np.sum(w * x, axis=1, keepdims=True) / r**3
""",
        ),
    ),
    Hypothesis(
        "weights after their update",
        Say("a weight is used after its update by gradient descent, not before"),
        "Compute all gradients first, then update.",
        (accumulation.updated_weights,),
        example(
            {"x": (4, 3), "W": (3, 3), "V": (3, 2)},
            """
h = np.tanh(x @ W)
o = h @ V
return np.sum(o**2)
""",
            """
h = np.tanh(x @ W)
do = 2 * h @ V
dV = h.T @ do
V = V - 0.05 * dV  # too early
dz = do @ V.T * (1 - h**2)
return dz @ W.T, x.T @ dz, dV
""",
        ),
    ),
    Hypothesis(
        "rounded",
        Say("a gradient is rounded to whole numbers"),
        "np.zeros_like of integers is an array of integers: np.zeros(x.shape). `//` rounds; `/` doesn't.",
        (entries.rounded,),
        example(
            XW,
            """
return np.sum(np.tanh(x @ W) * 9)
""",
            """
d = np.zeros((4, 2), dtype=int)  # dtype=float
d[:] = (1 - np.tanh(x @ W) ** 2) * 9
return d @ W.T, x.T @ d
""",
        ),
    ),
    Hypothesis(
        "penalty",
        Say("the derivative of a penalty (regularisation) is missing, halved, doubled or has the wrong sign"),
        "d(reg·ΣW²)/dW = 2·reg·W; d(0.5·reg·ΣW²)/dW = reg·W. Biases usually have none.",
        (),
        example(
            XW,
            """
return np.sum(np.tanh(x @ W)) + 0.1 * np.sum(W * W)
""",
            """
d = 1 - np.tanh(x @ W) ** 2
return d @ W.T, x.T @ d + 0.1 * W  # 0.2 * W
""",
        ),
    ),
    Hypothesis(
        "transposed",
        Say("a gradient is transposed"),
        "A gradient has the shape, and the order, of what it belongs to.",
        (),
        example(
            SQUARE,
            """
return np.sum(np.tanh(x @ W))
""",
            """
d = 1 - np.tanh(x @ W) ** 2
return d @ W.T, d.T @ x  # x.T @ d
""",
        ),
    ),
    Hypothesis(
        "other input's gradient",
        Say("the gradient of another input is given"),
        "Return gradients in the order of the arguments.",
        (),
        example(
            {"a": (4,), "b": (4,)},
            """
return np.sum(np.tanh(a) * b)
""",
            """
t = np.tanh(a)
return t, b * (1 - t**2)  # exchanged
""",
        ),
    ),
    Hypothesis(
        "independent",
        Say("the result doesn't depend on the input, and its gradient isn't 0"),
        "Is the input left out in the forward pass?",
        (),
        example(
            {"x": (3,), "b": (3,)},
            """
return np.sum(np.tanh(x))
""",
            """
d = 1 - np.tanh(x) ** 2
return d, d  # b isn't used
""",
        ),
    ),
]
