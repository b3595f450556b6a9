"""Which traces are recorded, by OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG."""

import random
from dataclasses import dataclass

from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased

#: The length of a `traceparent` of version 00, and where its trace id and its flags are.
_LENGTH, _TRACE, _FLAGS = 55, slice(3, 35), slice(53, 55)
_LOW = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Sampling:
    """A sampler by its standard name. `ratio` is that of the ratio samplers."""

    name: str
    ratio: float

    @property
    def follows_parent(self) -> bool:
        return self.name.startswith("parentbased_")

    @property
    def share(self) -> float:
        """The share of the traces that begin here and are recorded."""
        if self.name.endswith("always_off"):
            return 0.0
        return self.ratio if self.name.endswith("traceidratio") else 1.0

    def sampler(self) -> Sampler:
        """Returns the sampler of the SDK."""
        root = {0.0: ALWAYS_OFF, 1.0: ALWAYS_ON}.get(self.share) or TraceIdRatioBased(self.share)
        return ParentBased(root) if self.follows_parent else root


class HeadSampling:
    """Decides about a call before a span exists, cheaper than a span that is not recorded."""

    def __init__(self, sampling: Sampling) -> None:
        self._share = sampling.share
        self._bound = round(sampling.share * 2**64)
        self._follows_parent = sampling.follows_parent

    def admits(self, parent: str | None) -> bool:
        """Returns the decision of the sampler about a call with this `traceparent`."""
        if parent is not None and len(parent) == _LENGTH:
            try:
                if self._follows_parent:
                    return bool(int(parent[_FLAGS], 16) & 1)
                return int(parent[_TRACE], 16) & _LOW < self._bound
            except ValueError:
                pass  # malformed: the trace begins here
        return random.random() < self._share  # noqa: S311 - chooses examples
