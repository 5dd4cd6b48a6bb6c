"""Training data: manifests, prepared stores, and numbered samples for each network."""
