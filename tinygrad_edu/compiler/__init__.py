"""`tg.compile`: a function's computation, recorded once, as Python source that does the same to the last bit."""

from tinygrad_edu.compiler.compiled import Backend, Compiled, compile

__all__ = ["Backend", "Compiled", "compile"]
