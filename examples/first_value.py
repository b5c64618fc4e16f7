"""A first Value: a number that remembers how it was computed, and what its derivatives are."""

import tinygrad_edu as tg

a = tg.Value(2.0, name="a")
b = tg.Value(-3.0, name="b")
c = tg.tanh(a * b + 7.0)
c.backward()

print(f"c = tanh(a·b + 7) = {c.data:.6f}")
print(f"∂c/∂a = {a.grad:.6f}")
print(f"∂c/∂b = {b.grad:.6f}")

(slope,) = tg.gradients(tg.tanh(a * b + 7.0), [a])
(curvature,) = tg.gradients(slope, [a])
print(f"∂²c/∂a² = {curvature.data:.6f}")
