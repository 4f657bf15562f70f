"""Penalties on the gradient of the discriminator; each module of this package registers one."""
