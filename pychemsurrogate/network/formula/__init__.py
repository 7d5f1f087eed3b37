"""Rate coefficients as formulas: read from Fortran's spelling, simplified, recognised, compiled to a small program."""
