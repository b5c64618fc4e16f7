"""Networks in files: plain npz, with the structure as JSON in it.

The one thing to know: nothing is run that a file says. Layers and activations are the library's own, by name.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_edu import ops
from tinygrad_edu.core.data import Array
from tinygrad_edu.files import file_name, write_whole
from tinygrad_edu.nn import loss as losses
from tinygrad_edu.nn.further_layers import Conv2d, Dropout, Embedding
from tinygrad_edu.nn.layer import Dense, Layer, identity, name_of
from tinygrad_edu.nn.metric import Accuracy, listed
from tinygrad_edu.nn.neuron import Neuron

if TYPE_CHECKING:
    from tinygrad_edu.nn.history import History
    from tinygrad_edu.nn.network import Network

FORMAT, RUN, VERSION = "tinygrad_edu network", "tinygrad_edu run", 1


def save_network(network: Network, path: str | Path) -> None:
    """As `Network.save`."""
    arrays: dict[str, Array] = {}
    structure = whole(network, arrays)
    write(path, FORMAT, structure, arrays)


def load_network(path: str | Path, make: type[Network]) -> Network:
    """As `Network.load`."""
    structure, arrays = read(path, FORMAT)
    try:
        return whole_from(structure, arrays, make)
    except Exception as error:  # a file may say anything
        raise ValueError(f"{path} is broken: {error}") from None


def save_run(history: History, path: str | Path) -> None:
    """As `History.checkpoint`."""
    arrays: dict[str, Array] = {}
    settings, progress = history.settings, history.progress
    if settings is None:
        raise ValueError(
            "this history has no settings of a run, since it is new or was pickled: there is nothing to resume"
        )
    structure = {
        "network": whole(history.network, arrays),
        "update": described_update(settings.update),
        "loss": described_loss(settings.loss, history.network),
        "metrics": [described_metric(metric) for metric in listed(settings.metrics)],
        "batch_size": settings.batch_size,
        "shuffle": settings.shuffle,
        "steps": progress.steps,
        "state": described_state(progress.state, arrays, "state"),
        "order": progress.order,
        "best": described_state(progress.best, arrays, "best"),
        "loss_figures": history.loss,
        "metric_figures": history.metrics,
        "validation": history.validation,
        "validation_metrics": history.validation_metrics,
    }
    write(path, RUN, structure, arrays)


def described_update(update: Any) -> dict[str, Any] | None:
    """A class of the library and its settings; None where it is another, or its rate a function."""
    kind = type(update)
    if not vars(kind).get("plain") or callable(update.rate):
        return None
    return {"kind": kind.__name__, **update.settings()}


def described_loss(loss: Any, network: Network) -> Any:
    """A loss of the library by its name, its penalties and sums by what they are made of; None where it is another."""
    function = loss.function if type(loss) is losses.Loss else None
    if isinstance(function, losses.Added):
        parts = [described_loss(part, network) for part in (function.first, function.second)]
        return None if None in parts else {"sum": parts}
    if isinstance(function, losses.Penalty):
        return {"l2": function.l2, "l1": function.l1} if function.network is network else None
    name = name_of(loss)
    return name if getattr(losses, name, None) is loss else None


def described_metric(metric: Any) -> str | None:
    """A metric of the library by its name; None where it is another, whatever its name is."""
    if isinstance(metric, (str, Accuracy)):
        return "accuracy"
    name = name_of(metric)
    return name if getattr(losses, name, None) is metric else None


def described_state(state: Any, arrays: dict[str, Array], place: str) -> Any:
    """The state of an update as what JSON can say; arrays go into `arrays`."""
    if isinstance(state, (list, tuple)):
        return [described_state(part, arrays, f"{place}[{i}]") for i, part in enumerate(state)]
    if isinstance(state, dict):
        return {"parts": {key: described_state(part, arrays, f"{place}[{key!r}]") for key, part in state.items()}}
    if state is None or type(state) in (float, int, bool):
        return state
    arrays[place] = np.asarray(state)
    return {"array": place}


def whole(network: Network, arrays: dict[str, Array]) -> dict[str, Any]:
    """A network as what JSON can say, with which of its parameters are one and the same."""
    if not vars(type(network)).get("plain"):
        raise TypeError(
            f"{type(network).__name__} is a class of your own, which a file can't name: pickle the network, or save "
            "tg.Network(network.layers)"
        )
    values = [holder[key] for holder, key in places_of(network)]
    first = {value: i for i, value in reversed([*enumerate(values)])}
    tied = [[i, first[value]] for i, value in enumerate(values) if first[value] != i]
    return {**structure_of(network, arrays, "network"), "tied": tied}


def whole_from(structure: Mapping[str, Any], arrays: Mapping[str, Array], make: type[Network]) -> Network:
    """The network of which this is said."""
    network = network_of(structure, arrays, make)
    places = places_of(network)
    for i, k in structure.get("tied", []):  # files of earlier versions don't say
        holder, key = places[i]
        other, its_key = places[k]
        if np.shape(holder[key].data) != np.shape(other[its_key].data):
            raise ValueError(f"parameters {i} and {k} are one, but differ in shape")
        holder[key] = other[its_key]
    return network


def places_of(network: Network) -> list[tuple[Any, Any]]:
    """Where parameters stand, in order: a list or the attributes of an object, and the place or name there."""
    found: list[tuple[Any, Any]] = []
    for layer in network.layers:
        if isinstance(layer, Layer):
            for neuron in layer.neurons:
                found += [*((neuron.weights, i) for i in range(len(neuron.weights))), (vars(neuron), "bias")]
        elif isinstance(layer, (Dense, Conv2d)):
            found += [(vars(layer), "weights"), (vars(layer), "bias")]
        elif isinstance(layer, Embedding):
            found.append((vars(layer), "table"))
        elif hasattr(layer, "_recordings"):
            found += places_of(layer)
    return found


def structure_of(network: Network, arrays: dict[str, Array], place: str) -> dict[str, Any]:
    """A network as what JSON can say; its numbers go into `arrays`."""
    layers = [described(layer, arrays, f"{place}.layers[{i}]") for i, layer in enumerate(network.layers)]
    about = {"learning_rate": network.learning_rate, "numbers": network._gives_numbers}
    return {"kind": "Network", "layers": layers, **about}


def described(layer: Any, arrays: dict[str, Array], place: str) -> dict[str, Any]:
    def kept(**given: Any) -> dict[str, str]:
        for name, array in given.items():
            arrays[f"{place}.{name}"] = np.asarray(array)
        return {name: f"{place}.{name}" for name in given}

    kind = type(layer)
    if kind.__name__ == "Network" and hasattr(layer, "_recordings"):
        return structure_of(layer, arrays, place)
    if kind is Layer:
        weights = [[w.item() for w in neuron.weights] for neuron in layer.neurons]
        names = [activation_name(neuron.activation, f"{place}.neurons[{i}]") for i, neuron in enumerate(layer.neurons)]
        return {
            "kind": "Layer",
            "activations": names,
            **kept(weights=weights, bias=[n.bias.item() for n in layer.neurons]),
        }
    if kind in (Dense, Conv2d):
        found = {"kind": kind.__name__, "activation": activation_name(layer.activation, place)}
        if kind is Conv2d:
            found |= {"stride": layer.stride, "padding": layer.padding}
        return {**found, **kept(weights=layer.weights.data, bias=layer.bias.data)}
    if kind is Embedding:
        return {"kind": "Embedding", **kept(table=layer.table.data)}
    if kind is Dropout:
        return {"kind": "Dropout", "rate": layer.rate, "seed": layer.seed}
    if kind is partial and not layer.args:
        return {"kind": "partial", "function": activation_name(layer.func, place), "options": layer.keywords}
    return {"kind": "function", "activation": activation_name(layer, place)}


def network_of(structure: Mapping[str, Any], arrays: Mapping[str, Array], make: type[Network]) -> Network:
    network = make([layer_of(layer, arrays, make) for layer in structure["layers"]], structure["learning_rate"])
    network._gives_numbers = bool(structure.get("numbers"))  # files of earlier versions don't say
    return network


def layer_of(described: Mapping[str, Any], arrays: Mapping[str, Array], make: type[Network]) -> Any:
    kind = described["kind"]
    if kind == "Network":
        return network_of(described, arrays, make)
    if kind == "Layer":
        rows = zip(arrays[described["weights"]].tolist(), arrays[described["bias"]].tolist(), strict=True)
        return Layer(
            [Neuron(w, b, activation_of(name)) for (w, b), name in zip(rows, described["activations"], strict=True)]
        )
    if kind == "Dense":
        return Dense(arrays[described["weights"]], arrays[described["bias"]], activation_of(described["activation"]))
    if kind == "Conv2d":
        weights, bias = arrays[described["weights"]], arrays[described["bias"]]
        return Conv2d(weights, bias, activation_of(described["activation"]), described["stride"], described["padding"])
    if kind == "Embedding":
        return Embedding(arrays[described["table"]])
    if kind == "Dropout":
        return Dropout(described["rate"], described["seed"])
    if kind == "function":
        return activation_of(described["activation"])
    if kind == "partial":
        return partial(activation_of(described["function"]), **mapped_lists(described["options"]))
    raise ValueError(f"there is no layer {kind!r}")


def mapped_lists(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as they were given: JSON has lists for tuples."""
    return {name: tuple(x) if isinstance(x, list) else x for name, x in options.items()}


def activation_name(activation: Any, place: str) -> str:
    """The name of a function of the library. Raises TypeError where it is another's."""
    name = name_of(activation)
    if activation is identity or (name in ops.FAMILY_OF and getattr(ops, name) is activation):
        return name
    raise TypeError(
        f"{place}: {name} isn't a function or layer of the library, which a file can name. Write such as "
        "functools.partial(tg.max_pool2d, size=2) in place of a lambda, save the parameters (np.savez of p.data), or "
        "pickle the network"
    )


def activation_of(name: str) -> Any:
    if name == "identity":
        return identity
    if name not in ops.FAMILY_OF:
        raise ValueError(f"there is no function {name!r}")
    return getattr(ops, name)


def write(path: str | Path, format: str, structure: Any, arrays: Mapping[str, Array]) -> None:
    """Write arrays and a structure to the side, and move the file into place: there is always a whole one."""
    text = json.dumps({"format": format, "version": VERSION, "structure": structure}, default=plain_number)
    content = io.BytesIO()
    names = {f"array_{i}": name for i, name in enumerate(arrays)}
    kept = {place: arrays[name] for place, name in names.items()}
    np.savez(content, structure=np.array(text), names=np.array(json.dumps(names)), **kept)  # type: ignore[arg-type]
    write_whole(path, content.getvalue())


def plain_number(x: Any) -> Any:
    """A number of numpy's as Python's."""
    if isinstance(x, np.generic):
        return x.item()
    raise TypeError(f"a file can't hold {x!r}, a {type(x).__name__}")


def read(path: str | Path, format: str) -> tuple[Any, dict[str, Array]]:
    """The structure and the arrays of a file. Raises ValueError where it is broken or another's."""
    path = file_name(path)
    if not Path(path).exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with open(path, "rb") as file, zipfile.ZipFile(file) as parts, np.load(file, allow_pickle=False) as found:
            if (damaged := parts.testzip()) is not None:  # numpy doesn't compare every checksum
                raise ValueError(f"{damaged} is damaged")
            about = json.loads(str(found["structure"]))
            names = json.loads(str(found["names"]))
            arrays = {name: found[place] for place, name in names.items()}
    except Exception as error:  # a file may be broken in any way
        raise ValueError(f"{path} can't be read as a {format}: it is broken or another program's ({error})") from None
    if not isinstance(about, dict) or about.get("format") != format:
        raise ValueError(f"{path} is no {format}")
    if about.get("version") != VERSION:
        raise ValueError(f"{path} has version {about.get('version')}; this library reads version {VERSION}")
    if "structure" not in about:
        raise ValueError(f"{path} is broken: it has no structure")
    return about["structure"], arrays
