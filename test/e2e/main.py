"""Run every check of checks.py against one Prosody; print one line for each."""

import asyncio
import os
import pathlib
import shutil
import signal
import sys
import tempfile
import time

import checks
import names
import server
import web

WHOLE_RUN_SECONDS = 85


class World:
    """What the checks share."""

    def __init__(self, backend):
        self.backend = backend
        self.prosody = self.names = self.web = None
        self.alice = self.bob = None
        self.files_before = None
        self.ending = False  # the server is meant to end


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


async def run_checks(world):
    passed = failed = 0
    deadline = time.monotonic() + WHOLE_RUN_SECONDS
    for function, seconds in checks.CHECKS:
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


async def run(backend, folder):
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asyncio.current_task().cancel)
    world = World(backend)
    try:
        world.names = await names.start()
        world.web = web.WebServer()
        world.prosody = server.Prosody(backend, folder, world.names.port, world.web.port)
        await world.prosody.start()
        passed, failed = await run_checks(world)
        if failed:
            print("--- end of the log:")
            print("\n".join(world.prosody.last_words()))
    finally:
        if world.prosody:
            await world.prosody.kill()
        if world.web:
            world.web.close()
        if world.names:
            world.names.close()
    return passed, failed


def main():
    backend = os.environ.get("BACKEND", "go")
    if backend not in ("epoll", "go"):
        sys.exit("BACKEND must be epoll or go")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="e2e-"))
    try:
        passed, failed = asyncio.run(run(backend, folder))
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
