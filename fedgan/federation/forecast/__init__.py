"""What a run would cost, before anything runs: epsilon, noise, bytes and time."""

from fedgan.federation.forecast.cost import Forecast, forecast
from fedgan.federation.forecast.traffic import arrays_of_all

__all__ = ["Forecast", "arrays_of_all", "forecast"]
