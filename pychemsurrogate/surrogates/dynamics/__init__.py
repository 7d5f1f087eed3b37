"""What moves a latent state with tau: one file each. A dynamics is a torch module.

Its methods:

    advance(encoded (B, E), tau (T,) or (B, T)) -> z (B, T, Z)
    width(latent Z) -> E, how many numbers the encoder gives a state
    arrays() -> its part of the model file
    from_arrays(arrays) -> the dynamics that `arrays` stored

`encoded` begins with z0, the state at tau = 0.
"""

from __future__ import annotations
