"""Regularizing where people train: Lightning, the Hugging Face Trainer, Accelerate.

Each module needs its library, which comes with the extra of the same name; nothing here is imported by
`import ridgeline`. skorch and any other loop that a person can reach need no module: `ridgeline.regularize`
in a callback does it.
"""
