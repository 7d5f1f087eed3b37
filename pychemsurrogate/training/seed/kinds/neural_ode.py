"""The paper's latent neural ODE."""

from pychemsurrogate.training.seed.kind import Kind

NEURAL_ODE = Kind(
    name="neural_ode",
    sentence="z follows dz/dtau = s tanh(NN(z)/s); the paper's nets, beginning as the trained linear model.",
    dynamics="neural_ode",
    start="linear",
    epochs=100,
    rates=(3e-3, 0.0),
)
