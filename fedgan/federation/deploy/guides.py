"""What stands in the folders that `fedgan provision` writes: a site's client.toml, and how to go on."""

from __future__ import annotations

import json

from fedgan.config import Config

_SITE = """# Site {client}. This file is yours: no server can change it, and every request is held against it.
client = "{client}"
sign_key = "node.key"    # signs ledger.jsonl after every charge; its public half, node.pub, lies with the server too

[data]
name = {name}        # npz, image_folder, omniglot, ...: see the README of fedgan
root = {root}        # file or folder, relative to this one; it never leaves this machine
image_size = 0       # pixels; 0 keeps the images' own size
channels = 0         # 1 grey, 3 colour, 0 the images' own
classes = {classes}          # agreed on by all sites in public; 0 counts your own labels

[policy]
epsilon = {epsilon}       # the most that this site's ledger may ever hold, over all runs
delta = {delta}        # the largest delta of a run
least_noise = {least_noise}    # the least noise multiplier of any mechanism
largest_clip = {largest_clip}
most_steps = {most_steps}     # discriminator steps in a round
most_weights = 50_000_000    # of both networks and the warm start's features; bounds memory and traffic
algorithms = {algorithms}
levels = {levels}     # "none" would give records away unprotected
trusts = {trusts}      # "aggregator" would send sums without noise to the server

[machine]
device = {device}
threads = {threads}          # of the vault; 0 takes one a core

[connection]
address = "{address}"
port = {port}          # on 127.0.0.1, for this site's own processes
"""

_SITE_GUIDE = """# Site {client}

This folder is for the machine that holds the data of site {client}, and for nobody else: `node.key` lets its holder
speak for you. Copy it there, then:

```sh
pip install fedgan                     # on that machine, once
$EDITOR client.toml                    # [data]: where your records lie; [policy]: what you allow
fedgan client .                        # runs until stopped; `fedgan client . --check` says whether it is well
```

What was charged stands in `ledger.jsonl` (`fedgan audit budget ledger.jsonl`), signed in `ledger.sig`
(`fedgan audit verify ledger.jsonl --public-key node.pub`), what was refused in `refusals.jsonl`.
Never delete `ledger.jsonl`, `ledger.salt` or `ledger.sig`: they are the memory of your budget.
"""

_OPERATOR_GUIDE = """# Server

This folder is for the machine that the sites reach at {host}:{port}.

```sh
pip install fedgan                                           # on that machine, once
fedgan server . --config CONFIG.toml --output RUN            # waits for the sites, trains, writes the run folder
fedgan server . --output RUN --resume                        # goes on after a crash
fedgan audit verify RUN --public-key nodes                   # every site's ledger, and that the site signed it
```

Open port {port} to the sites and nothing else. Port {control} listens on 127.0.0.1 and starts runs without asking who
you are: let nobody but yourself log in here. `authority/ca.key` belongs on neither machine: keep it offline, since it
is needed to renew `server.crt` (run `fedgan provision` again).
"""


def site_toml(client: str, address: str, port: int, demo: Config | None, *, classes: int, threads: int) -> str:
    """Return the client.toml of `client`, with a policy that allows the run of `demo` if there is one."""
    return _SITE.format(
        client=client,
        address=address,
        port=port,
        name=json.dumps("npz"),
        root=json.dumps("data.npz" if demo else ""),
        classes=classes,
        device=json.dumps(demo.device if demo else "auto"),
        threads=threads,
        **_policy(demo),
    )


def _policy(demo: Config | None) -> dict[str, str]:
    algorithms = ["fedgan", "dp_fedavg_gan", "fedsgd"]
    if demo is None:
        return {
            "epsilon": "10.0",
            "delta": "1e-05",
            "least_noise": "0.5",
            "largest_clip": "1.0",
            "most_steps": "100",
            "algorithms": json.dumps(algorithms),
            "levels": '["record"]',
            "trusts": '["local"]',
        }
    privacy = demo.privacy
    return {
        "epsilon": repr(float(privacy.lifetime_epsilon or privacy.epsilon)),
        "delta": repr(privacy.delta),
        "least_noise": "0.1" if privacy.level == "none" or privacy.epsilon > 10 else "0.3",
        "largest_clip": repr(privacy.clip),
        "most_steps": repr(demo.federation.local_steps),
        "algorithms": json.dumps([demo.federation.algorithm]),
        "levels": json.dumps([privacy.level]),
        "trusts": json.dumps([privacy.trust]),
    }


def site_guide(client: str) -> str:
    """Return the README of a site."""
    return _SITE_GUIDE.format(client=client)


def operator_guide(host: str, port: int) -> str:
    """Return the README of the server."""
    return _OPERATOR_GUIDE.format(host=host, port=port, control=port + 1)
