"""Gradient checks: numerical against computed, or against hand-written, gradients, with a diagnosis."""

from tinygrad_edu.gradient_check.backprop import check_backprop
from tinygrad_edu.gradient_check.check import gradcheck
from tinygrad_edu.gradient_check.layers import check_layer, check_loss
from tinygrad_edu.gradient_check.report import Diagnosis, Entry, GradientReport, Verdict

__all__ = [
    "Diagnosis",
    "Entry",
    "GradientReport",
    "Verdict",
    "check_backprop",
    "check_layer",
    "check_loss",
    "gradcheck",
]
