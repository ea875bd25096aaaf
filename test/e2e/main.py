"""Run every check of one part of the test against one Prosody; print one line for each."""

import asyncio
import contextlib
import importlib
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

# The name of a part -> its module
PARTS = {"plain": "checks", "tls": "tls_checks", "modules": "module_checks", "crowd": "crowd_checks",
         "soak": "soak_checks", "daemon": "daemon_checks", "web": "web_checks", "door": "door_checks"}


class World:
    """What the checks of a part share; the part adds the rest."""

    def __init__(self, backend, folder, closing):
        self.backend = backend
        self.folder = folder
        self.closing = closing  # whom to tell what must be closed or killed in the end
        self.prosody = None  # the one on the backend that is tested
        self.ending = False  # it is meant to end


async def hold(world, function, seconds):
    """Run one check; give up early if the server ends though it should not."""
    if not world.prosody.running() and not world.ending:
        raise AssertionError(f"the server has ended (status {world.prosody.process.returncode})")
    task = asyncio.ensure_future(function(world))
    ended = asyncio.ensure_future(world.prosody.ended())
    try:
        until = time.monotonic() + seconds
        while not task.done():
            left = until - time.monotonic()
            if left <= 0:
                raise AssertionError(f"no outcome within {seconds:.0f} s")
            watched = {task} if ended.done() else {task, ended}
            await asyncio.wait(watched, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if ended.done() and not task.done() and not world.ending:
                raise AssertionError(f"the server ended meanwhile (status {ended.result()})")
        task.result()
    finally:
        task.cancel()
        ended.cancel()
        await asyncio.gather(task, ended, return_exceptions=True)


def reason(error):
    text = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
    return "\n".join("    " + line for line in (text[:4000] or type(error).__name__).splitlines())


async def run_checks(part, world):
    passed = failed = 0
    deadline = time.monotonic() + part.WHOLE_RUN_SECONDS
    for function, seconds in part.CHECKS:
        start = time.monotonic()
        try:
            await hold(world, function, max(0.1, min(seconds, deadline - start)))
            passed += 1
            word, why = "ok", None
        except Exception as error:  # whatever a check raises is a check that failed
            failed += 1
            word, why = "not ok", reason(error)
        print(f"{word} - {function.__doc__} ({time.monotonic() - start:.2f} s)", flush=True)
        if why:
            print(why, flush=True)
    return passed, failed


async def run(part, backend, folder):
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    async with contextlib.AsyncExitStack() as closing:
        world = World(backend, folder, closing)
        await part.prepare(world)
        passed, failed = await run_checks(part, world)
        if failed:
            print("--- end of the log:")
            print("\n".join(world.prosody.last_words()))
    return passed, failed


def main():
    backend = os.environ.get("BACKEND", "go")
    if backend not in ("epoll", "go"):
        sys.exit("BACKEND must be epoll or go")
    name = sys.argv[1] if len(sys.argv) > 1 else "plain"
    if len(sys.argv) > 2 or name not in PARTS:
        sys.exit(f"usage: run [{'|'.join(PARTS)}]")
    part = importlib.import_module(PARTS[name])
    if backend in getattr(part, "SKIPPED", {}):
        print(f"skipped: {part.SKIPPED[backend]}")
        return
    folder = pathlib.Path(tempfile.mkdtemp(prefix="e2e-"))
    try:
        passed, failed = asyncio.run(run(part, backend, folder))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit("interrupted")
    finally:
        if os.environ.get("E2E_KEEP"):
            print(f"kept: {folder}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
