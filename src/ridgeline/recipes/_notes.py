"""Where runs of the recipes depart from their specification, and how claims put their parts together."""

CONV_L2 = (
    "A record holds the source's 1,000 training and 1,000 test images, 500 more training images and the validation "
    "set; the whole training and test sets are evaluated at step 1,000 and at the best step, not at the ten records.",
    "S0-1b to S0-4: the training examples are a sample as well; they are taken to vary as the test examples do.",
    "S0-2: the published figures are those of the penalty that reaches no weight, and are placed among our runs of "
    "it; the outcome is that of L2. L2 on both layers, and both claims on two-conv, stand in claims.json.",
    "S0-5, S0-9: on one-conv at a sixteenth of its width; S0-5 on made images, at λ = 0.4.",
    "S0-7c, S0-7d: of all pairs of equal ‖w‖₂, the one with the largest loss of accuracy decides.",
    "S0-8: every record, and all weights after the last step, are compared.",
)
FASHION_DROPOUT = (
    "Training images are 55,000, since 5,000 stay for validation. The source's 5 epochs of 60,000 images are counted "
    "in updates, 5 times 235, which are 1.09 of our epochs each.",
    "S1-4: both ways must say the same, else it is undecided. The training examples are a sample as well; they are "
    "taken to vary as the test examples do.",
)
LINE = (
    "S1-2b: inside only where each of the four published norms is; each one's own place is in claims.json.",
)
WIDE_RATES = (
    "The training curve beside the source's batch is of 500 training images; the test set is evaluated at the end "
    "only.",
    "S2-1: the answer is that of the data loss at λ = 5e-4, as published; reproduced where any learning rate says "
    "yes, refuted where all say no. The plateau is the longest stretch of checks that hold, its loss the median of "
    "the 20-check means within it.",
    "S2-2, S2-3: they ask for numbers, which the sentence gives; there is nothing to reproduce or refute.",
)
WIDE_L2 = (
    "The training curve beside the source's batch is of 500 training images; the test set is evaluated at the end "
    "only.",
    "S2-5: a seed's share is that of its sparsest matrix, which need not be the same in every seed.",
)
PENALTY_OBJECT = (
    "The source names neither data nor model: ours are 5,000 training images of Fashion-MNIST, drawn by seed, and "
    "conv-BatchNorm-ReLU twice with 20,586 parameters. The fixed images are the first 1,000 of the validation set.",
    "S3-2: that weight_decay adds nothing to the printed loss holds by construction, as those arms have no penalty.",
    "S3-3a, S3-3b: every arm must say the same for an outcome; one that says the opposite refutes.",
    "S3-8: the figure's place is that of the ratio of the two published falls, 44.2/43.0, among ratios of ours from "
    "two different seeds, as the source's runs began from different draws.",
    "S3-10: reproduced where the object at any strength solves it.",
)
LINE_ADAM = (
    "The source gives neither λ nor the number of epochs: the strengths and 1,000 epochs are ours.",
    "S4-1: reproduced where in each size some λ does it, refuted where none may; the column as published, with the "
    "penalty inside, stands in claims.json beside each λ.",
    "S4-2, S4-3: one problem of 20 samples in float64, at λ = 3, apart from the trials.",
)
