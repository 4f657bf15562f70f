"""A federation on separate machines: keys and folders for each party, and the processes that run there."""
