"""The generated source of a training step, jitted by JAX (the extra `jax`): it runs on whatever devices that has."""

import jax
import jax.numpy as jnp
import numpy as np

import tinygrad_edu as tg

jax.config.update("jax_enable_x64", True)
rng = np.random.default_rng(0)
rows, labels = rng.normal(size=(256, 8)), rng.integers(0, 3, 256)
targets = np.eye(3)[labels]
network = tg.Network.create([8, 32, 3], kind="dense", activation=tg.tanh, start="scaled", seed=0)


@tg.compile(pure=True)
def step(network, rows, targets):
    loss = tg.nn.cross_entropy(network(rows), targets)
    parameters = network.parameters()
    return [p - 0.5 * slope for p, slope in zip(parameters, tg.gradients(loss, parameters), strict=True)]


step(network, rows, targets)
print(step.source)
space = {"np": jnp}
exec(step.source.replace("import numpy as np\n", ""), space)
on_jax = jax.jit(space["step"])

weights = [p.data for p in network.parameters()]
theirs = [jnp.array(w) for w in weights]
for _ in range(20):
    new = step(network, rows, targets)
    for p, data in zip(network.parameters(), new, strict=True):
        p.data = data
    theirs = on_jax(*theirs, rows, targets)
difference = max(float(np.abs(np.asarray(t) - p.data).max()) for t, p in zip(theirs, network.parameters(), strict=True))
print(f"devices: {jax.devices()}")
print(f"equal within 1e-12: {difference < 1e-12}")
