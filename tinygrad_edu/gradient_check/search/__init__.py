"""The search for the wrong line of a hand-written backward pass.

A mistake in hand-written backprop is a small change of one line of the right backward pass. So the forward code is
recorded as a graph, with the source expression that made each node; every line's derivative is changed in every
plausible way, and what comes out is compared with what was claimed.
"""

from tinygrad_edu.gradient_check.search.explaining import explain
from tinygrad_edu.gradient_check.search.findings import Finding, Search

__all__ = ["Finding", "Search", "explain"]
