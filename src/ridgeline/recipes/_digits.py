"""The first study: does a small MLP overfit 200 digits, and does L2 help?"""

from ridgeline.recipes._recipe import Profile, Recipe
from ridgeline.study import Study


def digits(profile: Profile) -> Study:
    """L2 over five decades on 200 digits, 15 % of whose training labels are wrong on purpose.

    On clean labels this model does not overfit these data, so there would be nothing to cure.
    """
    return Study(
        name="digits",
        data={"name": "digits", "n_train": 200, "label_noise": 0.15},
        model={"name": "mlp", "hidden": [256]},
        train={"optimizer": "adam", "lr": 3e-3, "batch_size": 64, "epochs": 150},
        regularization={"penalty": "l2", "strength": 0.0},
        vary={"regularization.strength": {"log": [1e-5, 1.0], "n": 6, "zero": True}},
        seeds=5 if profile == "quick" else 20,
    )


RECIPE = Recipe(
    name="digits",
    summary="L2 over five decades on 200 digits, 15 % of whose training labels are wrong on purpose.",
    study=digits,
)
