"""The whole idea: values that remember how they were computed, operations with their rules, and the backward walk."""
