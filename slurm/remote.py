"""Ask a remote once whether it answers, and look whether its settings are safe.

    python -m slurm.remote [-r NAME] [--seconds N]

DVC asks a server that is down or silent again for every folder of results, for minutes; this says
soon what is wrong, with whatever settings the remote has. It changes nothing, there or here.
"""

import argparse
import re
import signal
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

from dvc.config import Config
from dvc.exceptions import DvcException
from dvc.repo import Repo

from slurm.console import explained, say

SECRETS = {
    "access_key_id", "account_key", "client_secret", "connection_string", "gdrive_client_secret",
    "passphrase", "password", "sas_token", "secret_access_key", "session_token",
    "sse_customer_key", "token",
}  # fmt: skip
URL_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/\s]+(?=@)")
URL_TOKEN = re.compile(r"(?i)([?&][^=&\s]*(?:sig|token|key|secret|password)[^=&\s]*=)[^&\s)]+")
HIDDEN = r"\1***"
SECONDS = 10.0
START = 60.0  # seconds in which Python has to start, on a slow file system
READY = "ready"
STOPPED = 130


def find(repo: Any, name: str | None) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - no types
    """Return a remote's name, by default that of DVC's default, and its settings.

    Raises
    ------
    dvc.exceptions.DvcException
        Where there is none of that name, or no default.
    """
    known = repo.config["remote"]
    name = name or repo.config["core"].get("remote")
    listed = f"`dvc remote list` shows {', '.join(known) or 'none'}"
    if not name:
        raise DvcException(f"no remote is the default: `dvc remote default --local NAME`; {listed}")
    if name not in known:
        raise DvcException(f"there is no remote {name!r}; {listed}")
    return name, known[name]


def unsafe(repo: Any, name: str, settings: dict[str, Any]) -> list[str]:  # noqa: ANN401
    """Return what is wrong with a remote's settings, each with its remedy."""
    found = []
    if not settings.get("verify"):
        found.append(
            "damaged objects would be pulled without a word: "
            f"`dvc remote modify --local {name} verify true`"
        )

    def has_secret(text: object) -> bool:
        return hidden(str(text), {}) != str(text)

    tracked = Config(repo.dvc_dir, validate=False).load_one("repo").get("remote", {}).get(name, {})
    found += [
        f"{key} stands in .dvc/config, which git tracks: have it replaced, and "
        f"`dvc remote modify --unset {name} {key}`"
        for key in sorted(SECRETS & set(tracked))
    ]
    if loose := [key for key in sorted(tracked) if "url" in key and has_secret(tracked[key])]:
        found.append(
            f"a password or token stands in its {loose[0]} in .dvc/config, which git tracks: have "
            f"it replaced, and `dvc remote modify {name} {loose[0]} ADDRESS` without it"
        )
    return found


def hidden(text: str, settings: dict[str, Any]) -> str:
    """Return a text without the secrets of a remote: those of its settings, and of any address."""
    for key, secret in settings.items():
        if key in SECRETS and isinstance(secret, str) and len(secret) > 3:  # noqa: PLR2004
            text = text.replace(secret, "***")
    return URL_TOKEN.sub(HIDDEN, URL_PASSWORD.sub(HIDDEN, text))


def ask(name: str, answers: Connection) -> None:
    """Look into a remote; send whether anything is there, or what is wrong."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one who waits is told
    try:
        with Repo() as repo:
            store = repo.cloud.get_remote_odb(name)
            answers.send(READY)
            top = store.path.removesuffix("files/md5").rstrip(store.fs.sep)
            above = store.fs.parent(top) or top  # a bucket; or a folder, which has to be mounted
            found = bool(store.fs.exists(store.path))
            if found or store.fs.exists(above):
                answers.send(found)
            else:
                answers.send(f"there is no {above}; is it misspelt, or not mounted?")
    except Exception as error:  # noqa: BLE001 - of any client of any server
        answers.send(f"{type(error).__name__}: {error}".rstrip(": "))


def answer(name: str, seconds: float) -> tuple[bool | str, float]:
    """Return whether anything is in a remote, or why that cannot be said; and seconds taken."""
    context = get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    asking = context.Process(target=ask, args=(name, theirs), daemon=True)
    asking.start()
    theirs.close()
    try:
        said: bool | str = "DVC does not start here within a minute; `dvc doctor` may say why"
        said = ours.recv() if ours.poll(START) else said
        began = time.monotonic()
        if said == READY:
            said = (
                ours.recv()
                if ours.poll(seconds)
                else f"no answer within {seconds:g} s (`--seconds`): is the server up, and does "
                "this machine reach it?"
            )
        return said, time.monotonic() - began
    except EOFError:
        return "its client died; `dvc push -v` may say of what", 0.0
    finally:
        asking.kill()
        asking.join()


def arguments(words: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m slurm.remote",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-r", "--remote", metavar="NAME", help="which (default: DVC's default)")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"to wait for an answer ({SECONDS:g})"
    )
    found = parser.parse_args(words)
    if found.seconds <= 0:
        parser.error(f"--seconds {found.seconds:g}: more than 0")
    return found


def main(words: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    given = arguments(words)
    try:
        with Repo() as repo:
            name, settings = find(repo, given.remote)
            wrong = unsafe(repo, name, settings)
        found, took = answer(name, given.seconds)
        wrong += [found] if isinstance(found, str) else []
    except DvcException as error:
        say(hidden(f"error: {explained(error)}", {}))
        return 1
    except KeyboardInterrupt:
        return STOPPED
    for sentence in wrong:
        say(hidden(f"error: {name} ({settings['url']}): {sentence}", settings))
    if not wrong:
        empty = "" if found else "; nothing is there yet: `dvc push` makes it"
        say(hidden(f"{name} ({settings['url']}) answers, in {took:.1f} s{empty}", settings))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
