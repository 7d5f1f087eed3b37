"""The linear latent model with more powers of tau."""

from pychemsurrogate.training.seed.kind import Kind

POLYNOMIAL = Kind(
    name="polynomial",
    sentence="z moves along one polynomial of degree 7, learned once for all states; the paper's nets.",
    degree=7,
    epochs=800,
)
