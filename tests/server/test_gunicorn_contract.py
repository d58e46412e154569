"""gunicorn still has what the server overrides, calls and relies on, as server/README.md explains."""

import json
import re

from tests.clients.server import ROOT
from tests.server.gunicorn_contract import RECORD, used

README = (ROOT / "server" / "README.md").read_text()


def test_gunicorn_defines_each_name_that_we_use_as_before() -> None:
    """Read gunicorn's change of what differs, mend the server, then run: python -m tests.server.gunicorn_contract."""
    assert used() == json.loads(RECORD.read_text())


def test_the_page_lists_exactly_the_private_names_that_we_use() -> None:
    listed = re.findall(r"^\| `(\w+\._\w+)`", README, re.MULTILINE)
    private = [name for name in used() if re.search(r"\._[a-z]\w*$", name)]

    assert sorted(listed) == sorted(".".join(name.split(".")[-2:]) for name in private)
