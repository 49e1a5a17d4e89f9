"""Something made while what was made before is still being worked on."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

One = TypeVar("One")


def ahead(items: Iterator[One]) -> Generator[One, None, None]:
    """Give items, each made while the one before is worked on; the first is made where it is asked for.

    So MongoDB stores a batch while the next is read. No more than two are in memory at a time.
    """
    made = list(islice(items, 1))
    with ThreadPoolExecutor(1, "ahead") as maker:
        while made:
            following = maker.submit(list, islice(items, 1))
            yield made[0]
            made = following.result()
