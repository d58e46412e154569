"""Join the apps into one server: settings, URLs, start, configuration file.

`gc` is a built-in module of Python, so the folder `gc/` can't be imported as a package: it is put on
the path instead, and the package in it is `collector`.
"""

import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

if str(BASE_DIR / "gc") not in sys.path:
    sys.path.append(str(BASE_DIR / "gc"))
