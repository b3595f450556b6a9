"""How the functions of this room become methods of the clients."""

from collections.abc import Callable
from inspect import Parameter, signature
from typing import Any, get_args


def describe(
    method: Any, call: Callable[..., object], *, name: str = "", doc: str = "", answer: Any = None
) -> None:
    """Gives `method` of a client the name, the docstring and the signature of `call`, and its answer."""
    whole = signature(call)
    own = get_args(whole.return_annotation)
    method.__name__ = name or call.__name__
    method.__qualname__ = method.__name__
    method.__doc__ = doc or call.__doc__
    me = Parameter("self", Parameter.POSITIONAL_ONLY)
    method.__signature__ = whole.replace(
        parameters=[me, *whole.parameters.values()], return_annotation=answer or own[0]
    )
