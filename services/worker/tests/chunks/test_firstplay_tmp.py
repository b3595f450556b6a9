import asyncio, time, pytest
from dataclasses import replace
from pathlib import Path
from services.worker.tests.chunks.fleet import Fleet
from services.worker.tests.clips import AAC, Clips, make, picture, sound
from gostream_worker.plan.profiles import PROFILES
pytestmark = pytest.mark.stack
def film(folder: Path) -> Path:
    return make(folder/"f.mp4", picture("1280x720", 60), sound(60), codecs=["-c:v","mpeg4","-q:v","6",*AAC])
async def test_first(worker, database, clip):
    fleet=Fleet(worker, database)
    worker.settings=replace(worker.settings, profiles=PROFILES)
    source=clip(film)
    for r in range(3):
        for window in (0,8):
            worker.settings=replace(worker.settings, chunk_window=window)
            vid=await worker.upload(source); 
            began=time.monotonic(); first=None
            async def watch():
                while not (await worker.video(vid)).is_playable_early: await asyncio.sleep(0.02)
                return time.monotonic()-began
            t=asyncio.ensure_future(watch())
            await fleet.start(vid)
            v=await fleet.work(vid, workers=2)
            total=time.monotonic()-began
            first = t.result() if t.done() else None
            t.cancel()
            print(f"FIRST window={window} first={first} total={total:.1f} {v.status}", flush=True)
