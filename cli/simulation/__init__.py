"""People who use a product, made up from a seed: the same seed, the same year, everywhere."""
