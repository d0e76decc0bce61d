"""Packs an executable into an archive for Lambda's `provided.al2023` runtime.

    archive.py EXECUTABLE ARCHIVE LEVEL
"""

import sys
import zipfile

REGULAR_AND_EXECUTABLE = 0o100755

executable, archive, level = sys.argv[1:]
# A fixed time gives the same archive for the same executable.
entry = zipfile.ZipInfo("bootstrap", date_time=(2026, 1, 1, 0, 0, 0))
entry.create_system = 3
entry.external_attr = REGULAR_AND_EXECUTABLE << 16
entry.compress_type = zipfile.ZIP_DEFLATED
with zipfile.ZipFile(archive, "w") as packed, open(executable, "rb") as content:
    packed.writestr(entry, content.read(), compresslevel=int(level))
