"""Limits how often an owner calls the methods that change something."""

from typing import Any

from gostream_api.auth.policy import scope_of
from gostream_api.principal import WRITE
from gostream_api.rates.writes import WriteRates
from gostream_api.rpc.interceptors.base import Behavior, BehaviorInterceptor, Context, Handler

_CREATE = "/CreateVideo"


class RateInterceptor(BehaviorInterceptor):
    """Counts the calls that need the scope WRITE. Other methods pass without it."""

    def __init__(self, rates: WriteRates) -> None:
        super().__init__()
        self._rates = rates

    def wrap(self, method: str, handler: Handler, behavior: Behavior) -> Behavior:
        if scope_of(method) != WRITE:
            return behavior
        rates, is_create = self._rates, method.endswith(_CREATE)

        async def rated(request: Any, context: Context) -> Any:
            await rates.require(request.caller.owner, is_create=is_create)
            return await behavior(request, context)

        return rated
