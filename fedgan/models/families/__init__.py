"""The model families; each module registers one in `fedgan.models.registry.MODELS`."""
