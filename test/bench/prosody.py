"""A whole Prosody to measure."""

import contextlib
import hashlib
import hmac
import shutil
import subprocess
import tempfile

from process import HERE, NAME, Server, lua_environment, server

USERS = 64
PASSWORD = "bench"  # the load generator's
SALT = "salt"  # one for all: the load generator derives the key once
ITERATIONS = 10000  # Prosody's default
GC = {"incremental": "", "generational": 'gc = { mode = "generational" }'}


def account():
    """What mod_auth_internal_hashed keeps of a user."""
    salted = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), SALT.encode(), ITERATIONS)
    client_key, server_key = (hmac.digest(salted, text, "sha1") for text in (b"Client Key", b"Server Key"))
    stored_key = hashlib.sha1(client_key).hexdigest()
    return (f'return {{ salt = "{SALT}"; iteration_count = {ITERATIONS}; '
            f'stored_key = "{stored_key}"; server_key = "{server_key.hex()}"; }};\n')


class Prosody(Server):
    def __init__(self, backend, folder, gc):
        self.ports = self.port, = server.free_ports(1)
        self.log = folder / "prosody.log"
        self.console = folder / "console.log"
        config = folder / "prosody.cfg.lua"
        text = (HERE / "prosody.cfg.lua.in").read_text()
        for name, value in {"BACKEND": backend, "FOLDER": folder, "GC": GC[gc], "C2S_PORT": self.port, "NAME": NAME}.items():
            text = text.replace(f"@{name}@", str(value))
        config.write_text(text)
        program = f"{server.release.PROGRAMS}/prosody"
        environment = {k: v for k, v in lua_environment().items() if k != "LUA_PATH"}  # it has its own
        with open(self.console, "wb") as console:
            self.process = subprocess.Popen(
                [program, "--config", config, "-F"], env=environment, stdin=subprocess.DEVNULL, stdout=console,
                stderr=console, start_new_session=True, preexec_fn=server.die_with_parent)

    def said(self):
        return "\n".join(server.tail(self.console, 5) + server.tail(self.log, 5))


class Prosodys:
    """Starts one after the other, each as new: a closed session stays in memory for five minutes."""

    def __init__(self, backend, folder, pem, gc):
        self.backend, self.folder, self.pem, self.gc = backend, folder, pem, gc

    @contextlib.contextmanager
    def one(self):
        with tempfile.TemporaryDirectory(prefix="prosody-", dir=self.folder) as name:
            folder = type(self.folder)(name)
            self._prepare(folder)
            prosody = Prosody(self.backend, folder, self.gc)
            try:
                prosody.wait()
                yield prosody
            finally:
                prosody.kill()

    def _prepare(self, folder):
        accounts = folder / "data" / NAME.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True)
        text = account()
        for number in range(USERS):
            (accounts / f"user{number}.dat").write_text(text)
        (folder / "certs").mkdir()
        shutil.copy(self.pem, folder / "certs")
