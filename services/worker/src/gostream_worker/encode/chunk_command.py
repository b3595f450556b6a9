"""Builds the arguments of ffmpeg for one chunk. Pure."""

from gostream_worker.plan.chunks import Chunk
from gostream_worker.plan.plan import Plan


def chunk_arguments(plan: Plan, chunk: Chunk, *, source: str, folder: str, attempt: int = 1) -> list[str]:
    """Returns the arguments that encode a chunk of the plan, with outputs below `folder`/.

    Segments have the numbers and the timestamps that they have in the film. Further outputs: the tiles of the
    storyboard that are in the chunk, and a poster if the chunk is one of `poster_chunks`.
    """
    raise NotImplementedError


def sheet_arguments(plan: Plan, *, folder: str) -> list[str]:
    """Returns the arguments that join the tiles of all chunks in `folder`/ to the storyboard's sheet."""
    raise NotImplementedError


def poster_chunks(plan: Plan) -> tuple[Chunk, ...]:
    """Returns the chunks that make a poster, the best one first."""
    raise NotImplementedError
