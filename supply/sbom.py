"""Write the bill of materials in CycloneDX: `python -m supply.sbom`, or `make sbom`.

It has what requirements.txt locks for this platform. With `--image`, what that image holds: its Python, the packages of
both kinds, Python's (which requirements-traces.txt locks) and Debian's. The result is valid by the schema of CycloneDX,
or not written.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, XsUri
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from packaging.utils import canonicalize_name

from registry_project.version import VERSION
from supply import lock
from supply.lock import Pin

_ROOT = Path(__file__).resolve().parents[1]
LOCK, IMAGE_LOCK = _ROOT / "requirements.txt", _ROOT / "requirements-traces.txt"
SCHEMA = SchemaVersion.V1_6
# Every virtual environment has it, and nothing that runs imports it.
INSTALLER = "pip"
# Runs in the image, by the image's own Python.
LOOK_INSIDE = """
import importlib.metadata, json, platform, subprocess
fields = "${binary:Package} ${Version} ${Architecture}\\n"
debian = subprocess.check_output(["dpkg-query", "--show", "--showformat", fields], text=True)
packages = {found.name: found.version for found in importlib.metadata.distributions()}
python = platform.python_version()
release = platform.freedesktop_os_release()
print(json.dumps({"python": python, "packages": packages, "debian": debian.splitlines(), "release": release}))
"""


def main(arguments: Sequence[str]) -> int:
    """Write the bill, and return the exit status."""
    options = options_of(arguments)
    inside = look_inside(options.engine, options.image) if options.image else None
    if inside is None:
        pins = [pin for pin in lock.read(LOCK) if pin.is_for_this_platform]
    else:
        pins = lock.read(IMAGE_LOCK)
        if others := not_locked(inside["packages"], pins):
            print(f"{options.image} holds what {IMAGE_LOCK.name} does not lock: {', '.join(others)}", file=sys.stderr)
            return 1
        pins = [pin for pin in pins if pin.name in {canonicalize_name(name) for name in inside["packages"]}]
    text = make_outputter(bill_of(pins, inside), OutputFormat.JSON, SCHEMA).output_as_string(indent=2)
    invalid = JsonStrictValidator(SCHEMA).validate_str(text)
    if invalid:
        print(f"not valid by CycloneDX {SCHEMA.to_version()}: {invalid}", file=sys.stderr)
        return 1
    options.output.write_text(text + "\n")
    print(f"{options.output}: {len(json.loads(text)['components'])} components, CycloneDX {SCHEMA.to_version()}")
    return 0


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m supply.sbom", description="Write the bill of materials.")
    parser.add_argument("--output", type=Path, default=Path("registry.cdx.json"), metavar="FILE")
    parser.add_argument("--image", metavar="NAME", help="an image that was built here; its content is listed")
    parser.add_argument("--engine", default="docker", metavar="PROGRAM", help="what runs the image: docker or podman")
    return parser.parse_args(arguments)


def look_inside(engine: str, image: str) -> dict[str, Any]:
    """Return what the image holds, in the words of its own Python and dpkg."""
    confined = ["--rm", "--network=none", "--read-only", "--cap-drop=ALL"]
    command = [engine, "run", *confined, image, "python", "-c", LOOK_INSIDE]
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - the named engine
    except OSError as error:
        raise SystemExit(f"{engine} can't be run: {error.strerror}") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{engine} can't look into the image {image}: exit status {error.returncode}") from None
    inside: dict[str, Any] = json.loads(done.stdout)
    return inside


def not_locked(packages: dict[str, str], pins: Iterable[Pin]) -> list[str]:
    """Return the installed Python packages that no pin names in that version."""
    locked = {(pin.name, pin.version) for pin in pins} | {(INSTALLER, packages.get(INSTALLER))}
    others = [pair for pair in packages.items() if (canonicalize_name(pair[0]), pair[1]) not in locked]
    return sorted(f"{name} {version}" for name, version in others)


def bill_of(pins: Sequence[Pin], inside: dict[str, Any] | None) -> Bom:
    """Return the bill of the registry with these packages, and with the others of an image."""
    bill = Bom()
    bill.metadata.timestamp = datetime.now(UTC)
    registry = Component(name="registry", version=VERSION, type=ComponentType.APPLICATION, bom_ref="registry")
    bill.metadata.component = registry
    packages = {pin.name: package(pin) for pin in pins}
    others = of_the_image(inside) if inside else []
    for component in (*packages.values(), *others):
        bill.components.add(component)
    for pin in pins:
        askers = [packages[name] for name in pin.required_by if name in packages]
        for asker in [*askers, registry] if pin.is_input else askers:
            bill.register_dependency(asker, [packages[pin.name]])
    bill.register_dependency(registry, others)
    return bill


def package(pin: Pin) -> Component:
    """Return a Python package, with the sums of its files that may be installed."""
    files = ExternalReference(
        type=ExternalReferenceType.DISTRIBUTION,
        url=XsUri(f"https://pypi.org/simple/{pin.name}/"),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=content) for content in pin.hashes],
    )
    return component(PackageURL("pypi", name=pin.name, version=pin.version), external_references=[files])


def of_the_image(inside: dict[str, Any]) -> list[Component]:
    """Return Python and the packages of Debian."""
    distribution = f"{inside['release']['ID']}-{inside['release']['VERSION_ID']}"
    found = [component(PackageURL("generic", name="python", version=inside["python"]))]
    if INSTALLER in inside["packages"]:
        found.append(component(PackageURL("pypi", name=INSTALLER, version=inside["packages"][INSTALLER])))
    for name, version, architecture in (line.split() for line in inside["debian"]):
        qualifiers = {"arch": architecture, "distro": distribution}
        url = PackageURL("deb", inside["release"]["ID"], name.partition(":")[0], version, qualifiers)
        found.append(component(url))
    return found


def component(url: PackageURL, **more: Any) -> Component:
    """Return the library at a package URL, which is its reference in the bill too."""
    return Component(
        name=url.name, version=url.version, type=ComponentType.LIBRARY, purl=url, bom_ref=url.to_string(), **more
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
