"""Check whether a remote answers and whether its settings are safe.

    python -m runner.remote [-r NAME] [--seconds N]

DVC repeats its request to a server that is down or silent for every folder of results, for minutes;
this command sends one request and reports what is wrong with server or settings. It changes
nothing, on the remote or here.
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

from runner.console import INTERRUPTED, describe, echo

_SECRETS = {
    "access_key_id", "account_key", "client_secret", "connection_string", "gdrive_client_secret",
    "passphrase", "password", "sas_token", "secret_access_key", "session_token",
    "sse_customer_key", "token",
}  # fmt: skip
_URL_PASSWORD = re.compile(r"(://[^/@\s:]*:)[^/\s]+(?=@)")
_URL_TOKEN = re.compile(r"(?i)([?&][^=&\s]*(?:sig|token|key|secret|password)[^=&\s]*=)[^&\s)]+")
_MASK = r"\1***"
_TIMEOUT = 10.0  # seconds for an answer
_START_TIMEOUT = 60.0  # seconds in which Python has to start, on a slow file system
_READY = "ready"


def _select(repo: Any, name: str | None) -> tuple[str, dict[str, Any]]:  # noqa: ANN401 - no types
    """Return the name of a remote, by default DVC's default, and its settings.

    Raises
    ------
    dvc.exceptions.DvcException
        If there is no remote of that name, or no default.
    """
    remotes = repo.config["remote"]
    name = name or repo.config["core"].get("remote")
    listed = f"`dvc remote list` shows {', '.join(remotes) or 'none'}"
    if not name:
        raise DvcException(f"no remote is the default: `dvc remote default --local NAME`; {listed}")
    if name not in remotes:
        raise DvcException(f"there is no remote {name!r}; {listed}")
    return name, remotes[name]


def unsafe_settings(repo: Any, name: str, settings: dict[str, Any]) -> list[str]:  # noqa: ANN401
    """Return a sentence, with a remedy, for each setting of a remote that is not safe.

    Not safe are an unset `verify`, without which pulled objects are not hashed, and passwords or
    tokens in `.dvc/config`, which git tracks.

    Parameters
    ----------
    repo
        DVC's repository.
    name
        Name of the remote.
    settings
        Settings of the remote, merged from all of DVC's configuration files.
    """
    problems = []
    if not settings.get("verify"):
        problems.append(
            "damaged objects would be pulled without a word: "
            f"`dvc remote modify --local {name} verify true`"
        )

    def has_secret(text: object) -> bool:
        return redact(str(text), {}) != str(text)

    tracked = Config(repo.dvc_dir, validate=False).load_one("repo").get("remote", {}).get(name, {})
    problems += [
        f"{key} stands in .dvc/config, which git tracks: have it replaced, and "
        f"`dvc remote modify --unset {name} {key}`"
        for key in sorted(_SECRETS & set(tracked))
    ]
    if loose := [key for key in sorted(tracked) if "url" in key and has_secret(tracked[key])]:
        problems.append(
            f"a password or token stands in its {loose[0]} in .dvc/config, which git tracks: have "
            f"it replaced, and `dvc remote modify {name} {loose[0]} ADDRESS` without it"
        )
    return problems


def redact(text: str, settings: dict[str, Any]) -> str:
    """Return a text with secrets replaced by `***`.

    Parameters
    ----------
    text
        Text that may contain values of the settings, or URLs with passwords or tokens.
    settings
        Settings of a remote, of which secret values of more than three characters are replaced.
    """
    for key, secret in settings.items():
        if key in _SECRETS and isinstance(secret, str) and len(secret) > 3:  # noqa: PLR2004
            text = text.replace(secret, "***")
    return _URL_TOKEN.sub(_MASK, _URL_PASSWORD.sub(_MASK, text))


def _probe_in_child(name: str, replies: Connection) -> None:
    """Send whether a remote has objects, or a message about what is wrong; runs in a child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent handles it
    try:
        with Repo() as repo:
            store = repo.cloud.get_remote_odb(name)
            replies.send(_READY)
            root = store.path.removesuffix("files/md5").rstrip(store.fs.sep)
            parent = store.fs.parent(root) or root  # a bucket; or a folder, which has to be mounted
            exists = bool(store.fs.exists(store.path))
            if exists or store.fs.exists(parent):
                replies.send(exists)
            else:
                replies.send(f"there is no {parent}; is it misspelt, or not mounted?")
    except Exception as error:  # noqa: BLE001 - each server's client has its own errors
        replies.send(f"{type(error).__name__}: {error}".rstrip(": "))


def _probe(name: str, seconds: float) -> tuple[bool | str, float]:
    """Return whether a remote has objects, or what is wrong with it; and the seconds that took.

    Parameters
    ----------
    name
        Name of the remote.
    seconds
        Time limit of the request; starting Python and DVC does not count.
    """
    context = get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_probe_in_child, args=(name, sender), daemon=True)
    child.start()
    sender.close()
    try:
        reply: bool | str = "DVC does not start here within a minute; `dvc doctor` may say why"
        reply = receiver.recv() if receiver.poll(_START_TIMEOUT) else reply
        began = time.monotonic()
        if reply == _READY:
            reply = (
                receiver.recv()
                if receiver.poll(seconds)
                else f"no answer within {seconds:g} s (`--seconds`): is the server up, and does "
                "this machine reach it?"
            )
        return reply, time.monotonic() - began
    except EOFError:
        return "its client died; `dvc push -v` may say of what", 0.0
    finally:
        child.kill()
        child.join()


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m runner.remote",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-r", "--remote", metavar="NAME", help="which (default: DVC's default)")
    parser.add_argument(
        "--seconds", type=float, default=_TIMEOUT, help=f"to wait for an answer ({_TIMEOUT:g})"
    )
    args = parser.parse_args(argv)
    if args.seconds <= 0:
        parser.error(f"--seconds {args.seconds:g}: more than 0")
    return args


def main(argv: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    args = parse_args(argv)
    try:
        with Repo() as repo:
            name, settings = _select(repo, args.remote)
            problems = unsafe_settings(repo, name, settings)
        reply, duration = _probe(name, args.seconds)
        problems += [reply] if isinstance(reply, str) else []
    except DvcException as error:
        echo(redact(f"error: {describe(error)}", {}))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    for sentence in problems:
        echo(redact(f"error: {name} ({settings['url']}): {sentence}", settings))
    if not problems:
        empty = "" if reply else "; nothing is there yet: `dvc push` makes it"
        echo(redact(f"{name} ({settings['url']}) answers, in {duration:.1f} s{empty}", settings))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
