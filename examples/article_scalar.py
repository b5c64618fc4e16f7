"""The article's network, neuron by neuron: trained by computed gradients from the recovered start."""

import tinygrad_edu as tg
from tinygrad_edu.article import DATASET, LABELS, PRINTED, network_from, recovered_start

network = network_from(recovered_start())
history = network.train(DATASET, LABELS, epochs=40, update=tg.nn.ArticleUpdate(0.5))

print(network)
print(repr(network))
print(f"printed by the article: {PRINTED['printed_errors']['39']}")
print(f"the same figure here:   {history.article_printed_error[39]}")
print(f"the true error:         {history.mean_squared_error[39]}")
print("predictions:", [network.predict(row) for row in DATASET])
