"""Where a file of records is: a path here, or a file of a data set of the Hugging Face Hub, which is fetched once."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from huggingface_hub import hf_hub_download

HUB: Final = "hf://datasets/"


def records_file(name: str) -> Path:
    """The file that a name stands for.

    Args:
        name: A path, or `hf://datasets/OWNER/NAME/PATH` of a file of the Hub; the cache is asked first.

    Raises:
        ValueError: There is no such file here, or the Hub does not give it.
    """
    if not name.startswith(HUB):
        if not Path(name).is_file():
            raise ValueError(f"records: {name!r} is no file; allowed: a JSON file, or {HUB}OWNER/NAME/PATH")
        return Path(name)
    owner, _, rest = name.removeprefix(HUB).partition("/")
    data_set, _, file = rest.partition("/")
    if not (owner and data_set and file):
        raise ValueError(f"records: {name!r} is not allowed; allowed: {HUB}OWNER/NAME/PATH")
    try:
        return Path(hf_hub_download(f"{owner}/{data_set}", file, repo_type="dataset"))
    except (OSError, RuntimeError, ValueError) as error:
        said = str(error).strip().partition("\n")[0][:200]
        raise ValueError(f"records: the Hub does not give {name!r} ({said}); allowed: a file within reach") from None
