"""A reader of lines such as ``{"picture": BASE64, "title": "red circle", "caption": "..."}``."""

import base64
import json

from mmkrl.data.readers.inputs import input_files, text_lines
from mmkrl.data.readers.reader import Reader
from mmkrl.data.readers.records import ReadUnit, Unreadable, record
from mmkrl.io.storage import locate


class LinesReader(Reader):
    """Files with a JSON object a line."""

    takes = frozenset({"columns"})

    def files(self):
        return input_files(locate(self.source.path), ".lines")

    def plan(self, size):
        for file, _ in self.files():
            lengths = ((1, len(line)) for line in text_lines(file))
            for start, stop in size.ranges(lengths):
                yield ReadUnit(file, start, stop)

    def read(self, unit, max_bytes):
        for number, line in enumerate(text_lines(unit.path)):
            if unit.start <= number < unit.stop:
                address = f"{unit.path} line {number + 1}"
                try:
                    values = json.loads(line)
                except ValueError as error:
                    yield Unreadable(address, "bad_line", str(error))
                    continue
                row = {role: values[key] for role, key in self.names.items() if key in values}
                yield record(address, base64.b64decode(values["picture"]), row, self.source)
