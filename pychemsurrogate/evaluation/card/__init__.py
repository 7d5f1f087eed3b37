"""The model card: what a model file was measured to do, as figures of a dataclass and as one page."""
