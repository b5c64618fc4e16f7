"""Pictures of computations, and the chain rule in words."""

from tinygrad_edu.drawing.chain_rule import Explanation, explain
from tinygrad_edu.drawing.picture import draw, mimebundle, save

__all__ = ["Explanation", "draw", "explain", "mimebundle", "save"]
