"""Feed the parsers with inputs that reach code which none before reached: `make fuzz-parsers`.

Each parser has a process of its own, since libFuzzer ends the one that it runs in. It starts from the lines of
`parser_seeds` and mutates what reaches new code; what fails, takes ten seconds or a GiB becomes a line of that file.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

SEEDS = Path(__file__).with_name("parser_seeds")
INSTRUMENTED = ["acl", "distribution", "gunicorn", "registry_project", "tokens"]
# A grammar that is one regular expression shows no progress: the inputs to start from are mutated for ever.
OPTIONS = ["-timeout=10", "-rss_limit_mb=1024", "-max_len=2000", "-keep_seed=1", "-reduce_inputs=0"]
SHOWN_LINES = 40
MISSING = "NOT FUZZED: atheris is not installed; it has wheels for Linux on x86-64 and Python before 3.14"


def kept_inputs() -> list[tuple[str, bytes]]:
    """Return the parsers' names and inputs that a run starts from, and that the tests always try."""
    lines = [json.loads(line) for line in SEEDS.read_text().splitlines() if line.startswith("[")]
    return [(name, text.encode("latin-1")) for name, text in lines]


def main() -> int:
    """Fuzz the parsers that are named, all without a name; return 1 when one has failed."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("parsers", metavar="PARSER", nargs="*")
    options.add_argument("--seconds", type=int, default=60)
    options.add_argument("--in-folder", type=Path, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    try:
        import atheris  # noqa: F401 - asked only whether it is there
    except ImportError:
        sys.stdout.write(f"{MISSING}\n")
        return 1
    if chosen.in_folder is not None:
        _fuzz(chosen.parsers[0], chosen.in_folder, chosen.seconds)
    failures = sum(not _is_sound(name, chosen.seconds) for name in chosen.parsers or _all_names())
    return 1 if failures else 0


def _all_names() -> list[str]:
    return list(dict.fromkeys(name for name, _ in kept_inputs()))


def _is_sound(name: str, seconds: int) -> bool:
    """Fuzz one parser in a process of its own, and keep the input that fails."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "inputs").mkdir()
        for number, (parser, data) in enumerate(kept_inputs()):
            if parser == name:
                (folder / "inputs" / str(number)).write_bytes(data)
        command = [sys.executable, "-m", __spec__.name, name, f"--seconds={seconds}", f"--in-folder={folder}"]
        environment = os.environ | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
        ended = subprocess.run(
            command, env=environment, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        is_sound = ended.returncode == 0
        # Of the lines that begin with a number of runs, the last one counts all.
        shown = re.findall(r"^#.*DONE.*$" if is_sound else r"^[^#].*$", ended.stdout, re.MULTILINE)[-SHOWN_LINES:]
        sys.stdout.write("\n".join([f"{name}: {'sound' if is_sound else 'FAILED'}", *shown, ""]))
        sys.stdout.flush()
        with SEEDS.open("a") as seeds:
            for failed in {file.read_bytes() for file in folder.glob("failed-*")}:
                seeds.write(f"{json.dumps([name, failed.decode('latin-1')])}\n")
    return is_sound


def _fuzz(name: str, folder: Path, seconds: int) -> None:
    """Fuzz one parser in this process, which ends with it."""
    import atheris
    import django

    with atheris.instrument_imports(include=INSTRUMENTED):
        django.setup()
        from tests.fuzz.parsers import PARSERS

    def try_one(data: bytes) -> None:
        try:
            PARSERS[name](data)
        except BaseException:
            # libFuzzer keeps what takes too long or too much, and not always what raises.
            (folder / "failed-raised").write_bytes(data)
            raise

    # As in the tests.
    warnings.simplefilter("error")
    run = [f"-max_total_time={seconds}", f"-artifact_prefix={folder}/failed-", f"{folder}/inputs"]
    atheris.Setup([name, *OPTIONS, *run], try_one)
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
