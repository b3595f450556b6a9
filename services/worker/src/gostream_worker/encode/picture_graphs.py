"""Builds the filter graphs of the picture. Pure."""

from collections.abc import Sequence
from types import MappingProxyType

from gostream_worker.plan.chunks import WHOLE, Chunk, ChunkKind
from gostream_worker.plan.plan import Plan, Rung
from gostream_worker.plan.profiles import LARGE
from gostream_worker.plan.storyboard import chunk_tiles, plan_storyboard, poster_frames
from gostream_worker.probe.model import VideoTrack
from gostream_worker.probe.tracks.colour import Colours, label

#: Longest shorter side of the poster.
_POSTER_MAX_SIDE = 720
#: ITU-T H.273 MatrixCoefficients that rungs may have, with ffmpeg's names.
_MATRICES = MappingProxyType(
    {1: "bt709", 2: "unknown", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020nc"}
)


def source_graph(plan: Plan) -> str:
    """Returns the graph that normalises the source's picture.

    ffmpeg rebuilds a graph when its input format changes, and the graph loses its state. So stateful filters
    run in a second graph, `filter_graph`.
    """
    return f"{_shaped(plan)}[picture]"


def filter_graph(plan: Plan, chunk: Chunk = WHOLE) -> str:
    """Returns the graph of the chunk's picture: one decode, and each rung is scaled from the next larger one.

    Poster and storyboard are taken from small rungs.
    """
    poster = _poster(plan, chunk)
    tiles = _tiles(plan, chunk)
    poster_rung = _poster_rung(plan.rungs)
    chains = []
    for number, rung in enumerate(plan.rungs):
        outputs = [] if number == 0 and plan.copied else [f"[v{number}]"]
        if number + 1 < len(plan.rungs):
            outputs.append(f"[s{number + 1}]")
        if number == poster_rung and poster:
            outputs.append("[p]")
        if number + 1 == len(plan.rungs) and tiles:
            outputs.append("[b]")
        scaled = (
            f"[s{number}]{_scale(rung)}" if number else _shaped(plan) if plan.copied else _range(plan, chunk)
        )
        chains.append(f"{scaled},split={len(outputs)}{''.join(outputs)}")
    return ";".join([*chains, *poster, *tiles])


def _range(plan: Plan, chunk: Chunk) -> str:
    """Returns the filters that keep the chunk's frames, on the same grid as in one process."""
    if not chunk.start_frame and chunk.frames is None:
        whole = f"[picture]fps=fps={plan.fps}:start_time=0"
        return f"{whole},{plan.clip.picture_filters}" if plan.clip else whole
    begins = f"{float(chunk.start_frame / plan.fps):.9f}"
    end = [] if chunk.frames is None else [f"trim=end_pts={chunk.start_frame + chunk.frames}"]
    return ",".join([f"[picture]fps=fps={plan.fps}:start_time={begins}", *end])


def _poster(plan: Plan, chunk: Chunk) -> list[str]:
    """Returns the filters of the poster, if the chunk makes one.

    The first frame, then the wanted frame over it: even the shortest video has a poster.
    """
    if chunk.kind is ChunkKind.WHOLE:
        at = f"{plan.poster_at:.3f}"
        return [f"[p]select=eq(n\\,0)+gte(t\\,{at})*lt(prev_t\\,{at})[poster]"]
    wanted = [f"eq(n\\,{frame - chunk.start_frame})" for frame in poster_frames(plan, chunk)]
    return [f"[p]select={'+'.join(wanted)}[poster]"] if wanted else []


def _tiles(plan: Plan, chunk: Chunk) -> list[str]:
    """Returns the filters of the storyboard's tiles. Only the selected frames are scaled.

    In one process they make the sheet. A blank sheet comes first: ffmpeg reports no progress until every
    output has data, and the tiles are complete only at the end.
    """
    board = plan_storyboard(plan)
    small = f"scale={board.width}:{board.height}:flags=area,setsar=1"
    if chunk.kind is not ChunkKind.WHOLE:
        number = f"n+{chunk.start_frame}"
        chosen = f"select=not(mod({number}\\,{board.step}))*lt({number}\\,{board.tiles * board.step})"
        return [f"[b]{chosen},{small}[tiles]"] if chunk_tiles(plan, chunk) else []
    chosen = f"select=not(mod(n\\,{board.step}))*lt(selected_n\\,{board.tiles})"
    size = f"{board.columns * board.width}x{board.rows * board.height}"
    return [
        f"[b]{chosen},{small},tile={board.columns}x{board.rows}[sheet]",
        f"color=black:size={size}:rate=1:duration=1,format=yuv420p[blank]",
        "[blank][sheet]concat[storyboard]",
    ]


def _shaped(plan: Plan) -> str:
    """Returns the filters that bring the picture to the size and colours of the largest rung."""
    # A copied picture keeps its timestamps, so that all rungs are cut at its key frames. Otherwise the last
    # frame is repeated: the second graph does not receive its duration, and takes its start for the end.
    pace = [] if plan.copied else [f"fps=fps={plan.fps}", f"tpad=stop={1 + plan.held_frames}:stop_mode=clone"]
    colours = f"format=yuv420p:color_spaces={_matrix(plan)}"
    filters = [*_understood(plan.video), *pace, _scale(plan.rungs[0]), *_tone_map(plan), colours]
    return f"[0:{plan.video.index}]{','.join(filters)}"


def _understood(video: VideoTrack) -> list[str]:
    """Returns the filters that produce progressive pictures in colours that every filter supports."""
    labels = [label(video.relabelled)] if video.relabelled else []
    parity = f"parity={video.combs}:deint=all" if video.combs else "deint=interlaced"
    deinterlace = [f"bwdif=mode=send_frame:{parity}"] if video.interlaced or video.combs else []
    conversion = Colours(matrix=video.matrix, transfer=video.transfer).first_conversion
    return [*labels, *deinterlace, *([conversion] if conversion else [])]


def _scale(rung: Rung) -> str:
    # JPEG is full range, and would set that range for every output of the same graph.
    return f"scale={rung.width}:{rung.height}:flags=lanczos:out_range=limited,setsar=1"


def _matrix(plan: Plan) -> str:
    """Returns the matrix of the source's beginning, used for all of it.

    A matrix that players do not support is replaced by their default.
    """
    video = plan.video
    if plan.hdr_transfer or Colours(matrix=video.matrix, transfer=video.transfer).first_conversion:
        return "bt709"
    usual = "bt709" if min(plan.rungs[0].width, plan.rungs[0].height) >= LARGE else "smpte170m"
    return _MATRICES.get(video.matrix, usual)


def _tone_map(plan: Plan) -> list[str]:
    if plan.hdr_transfer is None:
        return []
    return [
        f"zscale=tin={plan.hdr_transfer}:min=bt2020nc:pin=bt2020:t=linear:npl=100",
        "format=gbrpf32le",
        "zscale=p=bt709",
        "tonemap=tonemap=hable:desat=0",
        "zscale=t=bt709:m=bt709:r=tv",
    ]


def _poster_rung(rungs: Sequence[Rung]) -> int:
    """Returns the index of the largest rung within the poster's maximum size."""
    for number, rung in enumerate(rungs):
        if min(rung.width, rung.height) <= _POSTER_MAX_SIDE:
            return number
    return len(rungs) - 1
