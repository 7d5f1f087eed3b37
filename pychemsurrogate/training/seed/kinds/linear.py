"""The paper's linear latent model."""

from pychemsurrogate.training.seed.kind import Kind

LINEAR = Kind(
    name="linear",
    sentence="z moves along one constant slope, learned once for all states; the paper's nets.",
    epochs=800,
)
