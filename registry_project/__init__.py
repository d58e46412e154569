"""The Django project: settings, URLs, WSGI application, middleware, system checks and `/health`.

`gc` is the name of a Python module, so the folder `gc/` is no package: it is on the path, with the package `collector`.
"""

import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

if str(BASE_DIR / "gc") not in sys.path:
    sys.path.append(str(BASE_DIR / "gc"))
