"""The paper's linear latent model in the paper's own training."""

from pychemsurrogate.training.seed.kind import Kind

LINEAR_PAPER = Kind(
    name="linear_paper",
    sentence="The linear model trained as in the paper: five losses, Adam, 1e-3 to 1e-5.",
    losses="paper",
    optimiser="adam",
    epochs=1000,
    rates=(1e-3, 1e-5),
    warm_up=0,
)
