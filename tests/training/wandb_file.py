"""Reads the file of an offline W&B run: a LevelDB log of protobuf records."""

import json
import struct
import time

from wandb.proto.wandb_internal_pb2 import Record

_FILE_HEADER, _HEADER, _BLOCK = 7, 7, 32768
_FULL, _FIRST, _LAST = 1, 2, 4  # kinds of pieces; 3 is one in the middle


def read_finished(file, seconds=30.0):
    """All records of a `run-ID.wandb` file; W&B may still write it after the run's end."""
    end = time.monotonic() + seconds
    records = read_records(file)
    while all(record.WhichOneof("record_type") != "exit" for record in records):
        assert time.monotonic() < end, f"{file} has no end"
        time.sleep(0.1)
        records = read_records(file)
    return records


def read_records(file):
    """All whole records of a `run-ID.wandb` file."""
    content, place, pieces, records = file.read_bytes(), _FILE_HEADER, b"", []
    while place + _HEADER <= len(content):
        room = _BLOCK - place % _BLOCK
        if room < _HEADER:
            place += room
            continue
        _, length, kind = struct.unpack_from("<IHB", content, place)
        if place + _HEADER + length > len(content):
            break
        piece = content[place + _HEADER : place + _HEADER + length]
        pieces = piece if kind in (_FULL, _FIRST) else pieces + piece
        if kind in (_FULL, _LAST):
            records.append(Record.FromString(pieces))
        place += _HEADER + length
    return records


def items(records, kind):
    """The last value of each key in records of a kind, such as `summary`."""
    values = {}
    for record in records:
        if record.WhichOneof("record_type") == kind:
            body = getattr(record, kind)
            for item in body.item if kind == "history" else body.update:
                values[item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
    return values
