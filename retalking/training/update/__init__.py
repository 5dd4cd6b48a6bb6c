"""One update of the weights: precision, gradients, optimiser, averaged copy."""
