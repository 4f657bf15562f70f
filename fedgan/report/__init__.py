"""Pictures of a run: what it made, who held what, what it cost in privacy, and what its discriminator looks at.

One module draws one picture and is imported by itself, since drawing libraries take long to load.
"""
