"""The tables of `fedgan plan` and the sentences below them."""

from __future__ import annotations

from typing import Any

from fedgan.cli.console import format_epsilon, new_table, show, stdout

_SHOWN = 20
_CURVE_SHOWN = 6
_NOISE = {
    ("record", "local"): "noise in units of the clip, added by each client; hides single records",
    ("record", "aggregator"): "noise in units of the clip, added by the server to the sum; hides single records",
    ("client", "aggregator"): "noise in units of the clip of a client's update, added by the server to the sum; "
    "hides whole clients",
}


def print_plan(document: dict[str, Any]) -> None:
    """Print what `fedgan plan --json` prints, for a reader."""
    _print_clients(document)
    _print_sizes(document)
    _print_rounds(document)
    if document["level"] != "none":
        _print_privacy(document)


def _print_clients(document: dict[str, Any]) -> None:
    steps = "rounds" if document["level"] == "client" else "steps"
    table = new_table("client", "records", "rate", steps, "noise: warm start", "noise: step", "epsilon")
    rows = document["clients"]
    for row in rows[:_SHOWN]:
        table.add_row(
            row["client"],
            str(row["records"]),
            f"{row['probability']:.4f}",
            str(row["steps"]),
            f"{row['warm_start_noise']:.3f}",
            f"{row['noise_multiplier']:.3f}",
            _epsilon(row["epsilon"]),
        )
    stdout.print(table)
    if len(rows) > _SHOWN:
        show(f"... and {len(rows) - _SHOWN} more clients; --json lists them all")


def _print_sizes(document: dict[str, Any]) -> None:
    show("\nWith half and with twice the clients, for the one with the fewest records:")
    table = new_table("clients", "records each", "rate", "noise: warm", "noise: step", "at today's noise", "MB a round")
    for size in (sizes := document["other_sizes"]):
        if "reason" in size:
            table.add_row(str(size["clients"]), *["-"] * 6)
            continue
        least, most = size["records"]
        table.add_row(
            str(size["clients"]),
            str(least) if least == most else f"{least}-{most}",
            f"{size['probability']:.4f}",
            f"{size['warm_start_noise']:.3f}",
            f"{size['noise_multiplier']:.3f}",
            _epsilon(size["epsilon_at_planned_noise"]),
            f"{size['bytes_a_round'] / 1e6:.2f}",
        )
    stdout.print(table)
    for size in sizes:
        if "reason" in size:
            show(f"{size['clients']} clients: not possible: {size['reason']}")
    if document["level"] != "none":
        show("noise is what the same epsilon needs; \"at today's noise\" is the epsilon with this plan's noise\n")


def _print_rounds(document: dict[str, Any]) -> None:
    clients, rounds = len(document["clients"]), document["rounds"]
    warm_start = f"{document['embedding_bytes'] / 1e6:.2f} MB for the warm start"
    if rounds == 0:
        show(f"no rounds; {warm_start} of each of {clients} clients")
    elif document["level"] == "client":
        show(
            f"{rounds} rounds; all {clients} clients are asked in each, and each takes part by a coin of its own: "
            f"{document['clients_a_round']:g} are expected; everyone is charged for all {document['participations']}"
        )
    else:
        show(
            f"{rounds} rounds, {document['clients_asked']} of {clients} clients a round, "
            f"each at most {document['participations']} times"
        )
    if rounds:
        show(
            f"{document['bytes_down'] / 1e6:.2f} MB down and {document['bytes_up'] / 1e6:.2f} MB up a client and "
            f"round, {document['bytes_a_round'] / 1e6:.2f} MB a round in all, {warm_start}"
        )
    if (seconds := document["expected_seconds"]) is None:
        show("how long it takes is not known here: this machine has no GPU (device = 'cuda')")
    else:
        show(f"about {seconds:.0f} s on this machine, from a few timed steps")


def _print_privacy(document: dict[str, Any]) -> None:
    curve = document["epsilon_by_round"]
    last = len(curve) - 1
    shown = sorted({round(last * part / (_CURVE_SHOWN - 1)) for part in range(_CURVE_SHOWN)})
    values = ", ".join(f"{number}: {format_epsilon(curve[number])}" for number in shown)
    turns = "rounds" if document["level"] == "client" else "rounds it is asked in"
    show(f"epsilon of client {document['worst_client']} after {turns} {values} (0: the warm start)")
    releases = f" in {count} releases" if (count := document["warm_start_releases"]) > 1 else ""
    show(f"the warm start alone costs epsilon {format_epsilon(document['warm_start_epsilon'])}{releases}")
    if room := document["evaluation_epsilon"]:
        show(
            f"room is left for one evaluation of epsilon {room:g} (fedgan evaluate --private-reads {room:g}); "
            "fedgan server refuses it, since nobody could spend it at the sites"
        )
    show(f"delta {document['delta']:g}; {_NOISE[document['level'], document['trust']]}")
    show("epsilons of records at several clients, or of a person behind several clients, add up")


def _epsilon(epsilon: float | None) -> str:
    return "no privacy" if epsilon is None else format_epsilon(epsilon)
