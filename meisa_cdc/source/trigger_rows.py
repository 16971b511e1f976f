"""What triggers wrote of changed rows, as changes."""

from collections.abc import Collection, Iterable, Mapping as Dict, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from meisa_cdc.source.affected.asking import Change, Image
from meisa_cdc.source.changelog import MOST_BYTES, MOST_CHANGES, Columns

#: What a row of the log is about; anything else says that its table has to be read in full.
ROW = "row"


@dataclass(slots=True, kw_only=True)
class Gathered:
    """What was told so far, as far as anybody wants to know."""

    #: Full names, by what the log calls them.
    tables: Dict[Any, str]
    wanted: Columns
    changes: dict[str, list[Change]] = field(default_factory=dict)
    #: Tables that were emptied, or rows of which could not be told.
    unsure: set[str] = field(default_factory=set)

    def take(self, rows: Iterable[Sequence[Any]]) -> bool:
        """Gather table, kind, old and new image of rows; return False where it is too much."""
        count, size = 0, 0
        for relation, kind, old, new in rows:
            count, size = count + 1, size + len(old or "") + len(new or "")
            if count > MOST_CHANGES or size > MOST_BYTES:
                return False
            table = self.tables.get(relation)
            if table is None or table not in self.wanted:
                continue
            if kind != ROW:
                self.unsure.add(table)
                continue
            columns = self.wanted[table]
            change = Change(old=_image(old, columns), new=_image(new, columns))
            self.changes.setdefault(table, []).append(change)
        return True


def _image(text: str | None, columns: Collection[str]) -> Image | None:
    if text is None:
        return None
    return {name: value for name, value in orjson.loads(text).items() if name in columns}
