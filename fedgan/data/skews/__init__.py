"""Ways in which clients' images differ; each file registers one in `fedgan.data.registry.SKEWS`."""
