"""The five modes: each against plain autograd, torch's own optimizers, scikit-learn or a closed form."""
