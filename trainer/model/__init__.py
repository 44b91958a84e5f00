"""Networks: architectures, weights, freezing, distillation."""
