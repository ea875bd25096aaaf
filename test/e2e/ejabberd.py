"""An ejabberd with a configuration, data and log of its own in a temporary folder: not the system's service."""

import asyncio
import glob
import json
import os
import shutil

import server

RETRY_DELAY = 1  # seconds at most for which it answers as it did when a server refused it
# No SCRAM, because newer slixmpps say in it, without TLS, that the server has no channel binding, which newer ejabberds take for an attack.
CONFIG = """\
hosts: {hosts}
loglevel: debug
certfiles: [{folder}/certs/*.pem]
ca_file: {authority}
listen:
  - {{port: {c2s_port}, ip: 127.0.0.1, module: ejabberd_c2s}}
  - {{port: {s2s_port}, ip: 127.0.0.1, module: ejabberd_s2s_in}}
s2s_use_starttls: required
s2s_max_retry_delay: {retry_delay}
auth_method: internal
auth_password_format: scram
disable_sasl_mechanisms: [SCRAM-SHA-1]
shaper_rules: {{}}
host_config: {host_config}
modules:
  mod_roster: {{}}
  mod_disco: {{}}
  mod_s2s_dialback: {{}}
"""
NAME_SERVICE = """\
{{lookup, [dns]}}.
{{resolv_conf, ""}}.
{{nameserver, {{127,0,0,1}}, {dns_port}}}.
"""
LIBRARIES = glob.glob("/usr/lib/*/ejabberd-*/ebin") + glob.glob("/usr/lib/ejabberd-*/ebin")


class Ejabberd:
    def __init__(self, folder, hosts, strict_hosts, user, authority, dns_port):
        self.folder = folder
        self.c2s_port, self.s2s_port = server.free_ports(2)
        self.hosts, self.user = hosts, user
        self.log = folder / "ejabberd.log"
        self.console = folder / "console.log"
        self.process = None
        (folder / "data").mkdir()
        strict = {host: {"modules": {"mod_roster": {}}} for host in strict_hosts}  # no dialback
        (folder / "ejabberd.yml").write_text(CONFIG.format(
            hosts=json.dumps(hosts), folder=folder, authority=authority, host_config=json.dumps(strict),
            c2s_port=self.c2s_port, s2s_port=self.s2s_port, retry_delay=RETRY_DELAY))
        (folder / "inetrc").write_text(NAME_SERVICE.format(dns_port=dns_port))

    async def start(self):
        erl = shutil.which("erl")
        assert erl and LIBRARIES, "ejabberd is not installed"
        register = "".join(
            f'ejabberd_auth:try_register(<<"{self.user}">>, <<"{host}">>, <<"{self.user}\'s password">>), '
            for host in self.hosts)
        environment = os.environ | {
            "EJABBERD_CONFIG_PATH": f"{self.folder}/ejabberd.yml",
            "EJABBERD_LOG_PATH": str(self.log),
            "ERL_INETRC": f"{self.folder}/inetrc",
            "ERL_LIBS": os.path.dirname(os.path.dirname(os.path.dirname(LIBRARIES[0]))),
            "ERL_CRASH_DUMP_BYTES": "0",
            "HOME": str(self.folder),
        }
        with open(self.console, "wb") as console:
            # no -sname: then Erlang neither listens for other nodes nor starts its epmd
            self.process = await asyncio.create_subprocess_exec(
                erl, "-noinput", "+S", "1", "-pa", LIBRARIES[0], "-mnesia", "dir", f'"{self.folder}/data"',
                "-s", "ejabberd", "-eval", f'{register} file:write_file("{self.folder}/ready", "").',
                cwd=self.folder, env=environment, stdin=asyncio.subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True, preexec_fn=server.die_with_parent)
        while not (self.folder / "ready").exists():
            if self.process.returncode is not None:
                raise AssertionError("ejabberd ended: " + "\n".join(self.last_words()))
            await asyncio.sleep(0.1)

    async def kill(self):
        if self.process:
            server.kill_group(self.process)
            await self.process.wait()

    def last_words(self, lines=50):
        yield from (f"ejabberd's console: {line}" for line in server.tail(self.console, lines))
        yield from (f"ejabberd: {line}" for line in server.tail(self.log, lines))
