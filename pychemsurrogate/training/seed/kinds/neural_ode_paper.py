"""The paper's latent neural ODE in the paper's own training."""

from pychemsurrogate.training.seed.kind import Kind

NEURAL_ODE_PAPER = Kind(
    name="neural_ode_paper",
    sentence="The neural ODE trained as in the paper, from random weights: five losses, Adam, 1e-3 to 1e-5.",
    dynamics="neural_ode",
    losses="paper",
    optimiser="adam",
    epochs=200,
    rates=(1e-3, 1e-5),
    warm_up=0,
)
