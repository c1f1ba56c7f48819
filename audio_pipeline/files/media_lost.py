"""Time that goes missing in MP3 and ADTS where damage hides the headers of frames: estimated by their bytes."""

from __future__ import annotations

from audio_pipeline.files.media_frame_size import bytes_of, kind_of

MOST_LOST_BYTES = 1 << 15  # a longer stretch between two frames is junk rather than lost sound
_TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS", b"Xing", b"Info")
_MEMORY = 1 / 32  # share of a new frame in the mean size


class Lost:
    """Gets every packet in order, and tells which are none; `seconds` is what was lost ahead of the next one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._kind: tuple[int, ...] = ()
        self._candidate: tuple[int, ...] = ()  # of the packet before, where it was another kind
        self._mean = 0.0
        self._bytes, self._reported_s, self._frame_s = 0, 0.0, 0.0  # of the damaged stretch in hand

    @property
    def is_settled(self) -> bool:
        """Whether it is known what the frames of this file look like."""
        return bool(self._kind)

    def take(self, data: memoryview, duration_s: float) -> bool:
        """A packet as the parser cut it, and the time that it is counted for; whether to decode it."""
        kind, size = kind_of(data[:6]), bytes_of(data[:6])
        is_whole = bool(size) and size == len(data)
        if is_whole and kind != self._kind and kind == self._candidate:  # here begins the file, or another one
            self._start(kind)
        self._candidate = kind if is_whole and kind != self._kind else ()
        if is_whole and kind == self._kind:
            self._end_stretch()
            self._mean += (size - self._mean) * (_MEMORY if self._mean else 1)
            self._frame_s = duration_s
            return True
        if not self._kind or not any(tag in bytes(data) for tag in _TAGS):
            self._bytes, self._reported_s = self._bytes + len(data), self._reported_s + duration_s
        return not self._kind

    def _start(self, kind: tuple[int, ...]) -> None:
        """A new kind of frames: nothing was lost on the way to it."""
        self._kind, self._mean, self._bytes, self._reported_s = kind, 0.0, 0, 0.0

    def _end_stretch(self) -> None:
        if self._bytes and self._mean:
            lost = round(self._bytes / self._mean) * self._frame_s if self._bytes < MOST_LOST_BYTES else 0.0
            self.seconds += lost - self._reported_s
        self._bytes, self._reported_s = 0, 0.0
