"""Networks: architectures, weights, freezing."""
