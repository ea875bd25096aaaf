"""A whole Prosody to measure."""

import contextlib
import hashlib
import hmac
import shutil
import subprocess
import tempfile

from process import HERE, NAME, Server, lua_environment, release, server, start

USERS = 64
PASSWORD = "bench"  # the load generator's
SALT = "salt"  # one for all: the load generator derives the key once
ITERATIONS = 10000  # Prosody's default
GENERATIONAL = 'gc = { mode = "generational" }\n'


def account():
    """What mod_auth_internal_hashed keeps of a user."""
    salted = hashlib.pbkdf2_hmac("sha1", PASSWORD.encode(), SALT.encode(), ITERATIONS)
    client_key, server_key = (hmac.digest(salted, text, "sha1") for text in (b"Client Key", b"Server Key"))
    stored_key = hashlib.sha1(client_key).hexdigest()
    return (f'return {{ salt = "{SALT}"; iteration_count = {ITERATIONS}; '
            f'stored_key = "{stored_key}"; server_key = "{server_key.hex()}"; }};\n')


class Prosody(Server):
    """In a folder that has data and certificates. Its log is at level warn."""

    def __init__(self, side, folder, settings, processors):
        self.ports = self.port, self.http_port = server.free_ports(2)
        if "@HTTP_PORT@" not in settings:
            self.ports = self.port,
        self.log = folder / "prosody.log"
        self.console = folder / "console.log"
        config = folder / "prosody.cfg.lua"
        text = (HERE / "prosody.cfg.lua.in").read_text()
        values = {"SETTINGS": settings, "BACKEND": side.backend, "NETWORK": side.settings, "FOLDER": folder,  # settings name others
                  "C2S_PORT": self.port, "HTTP_PORT": self.http_port, "NAME": NAME}
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        config.write_text(text)
        environment = {k: v for k, v in lua_environment(side.preload).items() if k != "LUA_PATH"}  # it has its own
        with open(self.console, "wb") as console:
            self.process = start([f"{release.PROGRAMS}/prosody", "--config", config, "-F"], processors, env=environment,
                                 stdin=subprocess.DEVNULL, stdout=console, stderr=console)

    def said(self):
        return "\n".join(server.tail(self.console, 5) + server.tail(self.log, 5))


class Prosodys:
    """Starts one after the other, each as new: a closed session stays in memory for five minutes."""

    def __init__(self, side, folder, pem, settings, processors):
        self.side, self.folder, self.pem, self.settings, self.processors = side, folder, pem, settings, processors

    @contextlib.contextmanager
    def home(self, users=USERS):
        """A folder with accounts, in which one can be started more than once."""
        with tempfile.TemporaryDirectory(prefix="prosody-", dir=self.folder) as name:
            folder = type(self.folder)(name)
            accounts = folder / "data" / NAME.replace(".", "%2e") / "accounts"
            accounts.mkdir(parents=True)
            text = account()
            for number in range(users):
                (accounts / f"user{number}.dat").write_text(text)
            (folder / "certs").mkdir()
            shutil.copy(self.pem, folder / "certs")
            yield folder

    @contextlib.contextmanager
    def within(self, folder):
        prosody = Prosody(self.side, folder, self.settings, self.processors)
        try:
            prosody.wait()
            yield prosody
        finally:
            prosody.kill()

    @contextlib.contextmanager
    def one(self, users=USERS):
        with self.home(users) as folder, self.within(folder) as prosody:
            yield prosody
