"""A page on which a reader steps through one computation: forward, then backward, then the update."""

from tinygrad_edu.drawing.stepper.page import Page, stepper

__all__ = ["Page", "stepper"]
