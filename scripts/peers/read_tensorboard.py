"""Reads the TensorBoard event files of a folder with TensorBoard itself, and prints tags and values.

    pip install tensorboard
    python scripts/peers/read_tensorboard.py DIR

One line a figure: tag, step, wall time and value, separated by tabs. A damaged or truncated file, which
TensorBoard would pass over in silence, is an error here.
"""

import pathlib
import sys

from tensorboard.backend.event_processing import event_file_loader
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.compat.proto import event_pb2
from tensorboard.compat.tensorflow_stub import errors
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New


def events(path):
    """All events of a file; raises DataLossError where a frame or a checksum is wrong."""
    reader = PyRecordReader_New(str(path))
    while True:
        try:
            reader.GetNext()
        except errors.OutOfRangeError:
            return
        yield event_pb2.Event.FromString(reader.record())


def main(folder):
    paths = sorted(path for path in pathlib.Path(folder).iterdir() if "tfevents" in path.name)
    if not paths:
        sys.exit(f"{folder}: holds no event files")
    raw = []
    for path in paths:
        of_file = list(events(path))
        if not of_file or of_file[0].file_version != "brain.Event:2":
            sys.exit(f"{path}: does not begin with the version of the format")
        raw += [
            (value.tag, event.step, event.wall_time, value.simple_value)
            for event in of_file
            for value in event.summary.value
        ]
        # What the web page is fed by reads as many events.
        loaded = sum(1 for _ in event_file_loader.EventFileLoader(str(path)).Load())
        if loaded != len(of_file):
            sys.exit(f"{path}: TensorBoard reads {loaded} events of {len(of_file)}")

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    read = [
        (tag, event.step, event.wall_time, event.value)
        for tag in accumulator.Tags()["scalars"]
        for event in accumulator.Scalars(tag)
    ]
    # As text, so that NaN equals itself.
    if sorted(map(repr, raw)) != sorted(map(repr, read)):
        sys.exit(f"{folder}: the scalars that TensorBoard shows are not those of the file")
    for tag, step, wall_time, value in read:
        print(f"{tag}\t{step}\t{wall_time!r}\t{value!r}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
