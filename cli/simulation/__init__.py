"""A town of musicians who use TrackFlow, made up from a seed: the same seed, the same year, everywhere."""
