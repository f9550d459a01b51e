"""From the problem of a stage to its draws, by Laplace or NUTS, and whether to trust them."""

__all__: list[str] = []
