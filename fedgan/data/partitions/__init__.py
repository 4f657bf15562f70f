"""Ways to spread records over clients; each file registers one in `fedgan.data.registry.PARTITIONS`."""
