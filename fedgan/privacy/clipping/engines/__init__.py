"""The clipping engines: each module of this package registers one."""
