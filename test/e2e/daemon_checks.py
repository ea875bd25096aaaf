"""What is claimed of a Prosody that is a daemon, and of prosodyctl; as checks.py has it."""

import asyncio
import difflib
import os
import re
import signal
import time

from check_list import Checks, same
import daemon
import release
import shell

CHECKS = Checks(seconds=20)
check = CHECKS.check
WHOLE_RUN_SECONDS = 150
STREAM = ("<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
          " to='localhost' version='1.0'>")


async def prepare(world):
    world.prosody = daemon.Daemon(world.backend, world.folder, {})
    world.closing.push_async_callback(world.prosody.kill)


async def stream_of(prosody):
    """A client's stream, once the port is open: 13 opens it when it has detached."""
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", prosody.c2s_port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)


async def serves(prosody):
    """A client's stream is answered, and timers run."""
    reader, writer = await stream_of(prosody)
    try:
        writer.write(STREAM.encode())
        await reader.readuntil(b"</stream:features>")
    finally:
        writer.close()
    count = "prosody.ticks = prosody.ticks + 1; return 0.01;"
    error, answer = await shell.command(
        prosody.socket, f"> prosody.ticks = 0; require 'util.timer'.add_task(0, function () {count} end)")
    assert not error, answer
    while int(re.search(r"\d+", (await shell.command(prosody.socket, "> prosody.ticks"))[1]).group()) < 3:
        pass


def stat_of(pid):
    """Parent, session and terminal of a process."""
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return int(fields[1]), int(fields[3]), int(fields[4])


async def only(prosody, pids):
    """These are the processes that are left, once the one between two forks has ended."""
    while sorted(prosody.processes()) != pids:
        await asyncio.sleep(0.02)


async def end(prosody, pid):
    os.kill(pid, signal.SIGTERM)
    await prosody.gone(pid)


@check()
async def detaches(world):
    """prosody -D, with a relative path, says what it does, exits with 0 and leaves one daemon"""
    status, output = await world.prosody.daemonize(world.prosody.config.name, cwd=world.folder)
    same(status, 0, "exit status")
    assert "about to detach from the console" in output, output
    world.pid = await world.prosody.pid()
    await only(world.prosody, [world.pid])
    _, session, terminal = stat_of(world.pid)
    assert terminal == 0 and session != os.getsid(0), f"terminal {terminal}, session {session}"
    same([os.readlink(f"/proc/{world.pid}/fd/{fd}") for fd in range(3)], ["/dev/null"] * 3, "standard streams")


@check()
async def serves_detached(world):
    """the daemon serves clients and runs timers"""
    await serves(world.prosody)


@check()
async def ends(world):
    """SIGTERM ends it in order, its pidfile gone"""
    await end(world.prosody, world.pid)
    assert not world.prosody.pidfile.exists(), "the pidfile is left"
    await world.prosody.logged("Shutdown complete")


@check()
async def takes_other_ways(world):
    """PROSODY_CONFIG and, on 0.12, the setting daemonize do as well; SIGHUP has the configuration reloaded"""
    prosody = world.prosody
    config = prosody.other_config("daemonize.cfg.lua", ("VirtualHost", "daemonize = true\nVirtualHost"))
    options = [] if release.SERIES == 12 else ["-D"]
    status, output = await prosody.output_of(
        prosody.programs / "prosody", *options, variables={"PROSODY_CONFIG": str(config)}.items())
    same(status, 0, output)
    pid, since = await prosody.pid(), prosody.log_size()
    await serves(prosody)
    os.kill(pid, signal.SIGHUP)
    await prosody.logged("Reloading configuration file", since)
    await serves(prosody)
    await end(prosody, pid)


@check()
async def shows_errors(world):
    """an error before it detaches is on the terminal, and in the exit status"""
    config = world.prosody.other_config("broken.cfg.lua", (f'data_path = "{world.folder}/data"', "data_path = 5"))
    status, output = await world.prosody.daemonize(config)
    same(status, 1, "exit status")
    assert "traceback" in output and "chdir" in output, output
    await only(world.prosody, [])


async def opened(fifo):
    """Open the fifo to write once somebody has it open to read."""
    while True:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            await asyncio.sleep(0.02)


@check()
async def ends_while_starting(world):
    """killed while it starts, nothing of it stays"""
    (world.folder / "slow").mkdir()
    fifo = world.folder / "slow/slow.crt"  # who opens it waits for its other end
    os.mkfifo(fifo)
    os.chmod(fifo, 0o644)
    config = world.prosody.other_config("slow.cfg.lua", ("/certs", "/slow"))
    process = await world.prosody.spawn(world.prosody.programs / "prosody", "--config", config, "-D")
    writer = await opened(fifo)
    process.terminate()
    same(await process.wait(), -signal.SIGTERM, "exit status")
    await only(world.prosody, [])
    os.close(writer)


async def told(prosody, status, text, *command, **options):
    """prosodyctl exits with the status and says the text."""
    got, output = await prosody.ctl(*command, **options)
    assert got == status and text in output, f"{' '.join(command)}: status {got}: {output}"


@check(60)
async def looked_after_by_root(world):
    """prosodyctl start, status, reload, restart and stop, as root if that is who tests"""
    prosody = world.prosody
    await told(prosody, 2, "Prosody is not running", "status", as_root=True)
    await told(prosody, 0, "", "start", as_root=True)
    first = await prosody.pid()
    await serves(prosody)
    await told(prosody, 0, f"Prosody is running with PID {first}", "status", as_root=True)
    await told(prosody, 1, f"Prosody is already running with PID {first}", "start", as_root=True)
    since = prosody.log_size()
    await told(prosody, 0, "", "reload", as_root=True)
    await prosody.logged("Reloading configuration file", since)
    await told(prosody, 0, "", "restart", as_root=True)
    second = await prosody.pid()
    assert second != first, f"still process {first}"
    await serves(prosody)
    await only(prosody, [second])
    same(os.stat(f"/proc/{second}").st_uid, daemon.USER.pw_uid, "whose process")
    await told(prosody, 0, "Stopped", "stop", as_root=True)
    await told(prosody, 2, "Prosody is not running", "status", as_root=True)


@check(60)
async def looked_after_by_user(world):
    """prosodyctl start, status and stop as the user prosody"""
    await told(world.prosody, 0, "", "start")
    pid = await world.prosody.pid()
    await serves(world.prosody)
    await told(world.prosody, 0, f"Prosody is running with PID {pid}", "status")
    await told(world.prosody, 0, "Stopped", "stop")
    await only(world.prosody, [])


@check(30)
async def start_stop_daemon(world):
    """start-stop-daemon starts, finds and stops it as Debian's init script does"""
    prosody = world.prosody
    which = ["/sbin/start-stop-daemon", "--pidfile", prosody.pidfile, "--user", daemon.USER.pw_name]
    change = ["--chuid", daemon.USER.pw_name] if daemon.ROOT else []
    status, output = await prosody.output_of(
        *which, "--start", *change, "--startas", prosody.programs / "prosody", "--", "--config", prosody.config, "-D", as_root=True)
    same(status, 0, output)
    pid = await prosody.pid()
    await serves(prosody)
    same((await prosody.output_of(*which, "--status", as_root=True))[0], 0, "status")
    since = prosody.log_size()
    same((await prosody.output_of(*which, "--stop", "--signal", "1", as_root=True))[0], 0, "reload")
    await prosody.logged("Received SIGHUP", since)
    same((await prosody.output_of(*which, "--stop", "--retry", "30", as_root=True))[0], 0, "stop")
    assert not os.path.exists(f"/proc/{pid}"), "still running"


# prosodyctl's other commands

def differences(one, other):
    return "\n".join(difflib.unified_diff(one.splitlines(), other.splitlines(), "epoll", "here", lineterm="", n=0))


def anonymous(text):
    """What prosodyctl says, without what is never the same twice."""
    return re.sub(r"(?m)^(Backend: ).*$|\w+\.cfg\.lua", r"\1", shell.plain(text))


@check(40, only="go")
async def says_the_same(world):
    """prosodyctl about and check say what they say on epoll, to root and to the user"""
    epoll = world.prosody.other_config("epoll.cfg.lua", ('network_backend = "go"', 'network_backend = "epoll"'))
    for command in ("about", "check config", "check certs", "check disabled"):
        for as_root in (True, False):
            there, here = await asyncio.gather(*(
                world.prosody.ctl(*command.split(), config=config, as_root=as_root) for config in (epoll, None)))
            same(here[0], there[0], f"{command}: exit status")
            difference = differences(anonymous(there[1]), anonymous(here[1]))
            assert not difference, f"{command}:\n{difference}"
            assert here[1].strip(), f"{command} says nothing"


@check(40, only="go")
async def is_quick(world):
    """a command that never enters the loop takes hardly longer than on epoll"""
    epoll = world.prosody.other_config("epoll.cfg.lua", ('network_backend = "go"', 'network_backend = "epoll"'))

    async def seconds(config):
        start = time.monotonic()
        await world.prosody.ctl("about", config=config)
        return time.monotonic() - start

    there = min([await seconds(epoll) for _ in range(5)])
    here = min([await seconds(world.prosody.config) for _ in range(5)])
    print(f"# prosodyctl about: {here * 1000:.0f} ms, on epoll {there * 1000:.0f} ms")
    assert here < there + 1, f"{here:.3f} s, {there:.3f} s on epoll"  # 0.1 on a machine that has nothing else to do


@check(40)
async def adds_users(world):
    """prosodyctl register and adduser make accounts, as root and as the user"""
    prosody = world.prosody
    status, output = await prosody.daemonize()
    same(status, 0, output)
    world.pid = await prosody.pid()
    await serves(prosody)
    for number, as_root in enumerate((True, False)):
        await told(prosody, 0, "", "register", f"registered{number}", "localhost", "secret", as_root=as_root)
        terminal = await daemon.Terminal.open(
            prosody, prosody.programs / "prosodyctl", "--config", prosody.config, "adduser", f"added{number}@localhost", as_root=as_root)
        for prompt in ("new password:", "new password:"):
            await terminal.expect(prompt)
            terminal.type("secret\n")
        same(await terminal.end(), 0, terminal.text)
        terminal.close()
    status, output = await prosody.ctl("shell", "user:list('localhost')")
    same(status, 0, output)
    for name in ("registered0", "registered1", "added0", "added1"):
        assert f"{name}@localhost" in output, output


@check(40)
async def has_a_shell(world):
    """prosodyctl shell on a terminal, idle for a while between two commands"""
    for as_root in (True, False):
        terminal = await daemon.Terminal.open(
            world.prosody, world.prosody.programs / "prosodyctl", "--config", world.prosody.config, "shell", as_root=as_root)
        await terminal.expect("prosody>")
        terminal.type("> 6 * 7\n")
        await terminal.expect("42")
        await terminal.expect("prosody>")
        await asyncio.sleep(0 if as_root else 1)
        terminal.type("> 6 * 8\n")
        await terminal.expect("48")
        await terminal.expect("prosody>")
        terminal.type("bye\n")
        same(await terminal.end(), 0, "exit status")
        terminal.close()
    await end(world.prosody, world.pid)
