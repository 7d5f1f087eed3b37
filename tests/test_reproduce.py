"""`pychemsurrogate reproduce`: a tiny plan from data to pictures, and the real one marked long."""
