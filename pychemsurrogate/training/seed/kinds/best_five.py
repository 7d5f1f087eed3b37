"""The most accurate model of the paper's latent dimension."""

from pychemsurrogate.training.seed.kind import Kind

BEST_FIVE = Kind(
    name="best_five",
    sentence="The encoder gives a polynomial of degree 7 with z0; five latent dimensions, SiLU, no saturating output.",
    degree=7,
    encoded=True,
    widths=(64, 64, 64),
    activation="silu",
    output="linear",
    per_species=True,
    epochs=2000,
    widening=384,
)
