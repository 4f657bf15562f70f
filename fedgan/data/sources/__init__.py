"""Sources of labelled images; each file registers one or a family in `fedgan.data.registry.DATASETS`."""
