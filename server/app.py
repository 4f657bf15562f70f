"""The server's Flower app: wiring only (see `fedgan.federation`)."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedgan.federation.apps import serve

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a whole federation with the configuration of this Flower run."""
    serve(grid, context.run_config)
