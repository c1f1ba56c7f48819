"""How long a frame of MPEG audio or of AAC in ADTS is, by its header: ISO/IEC 11172-3 2.4.2.3, 13818-7 6.2."""

from __future__ import annotations

from collections.abc import Sequence

_V1_L2 = (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384)
_V1_L3 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_RATES = (44_100, 48_000, 32_000)


def bytes_of(head: Sequence[int]) -> int:
    """Bytes of the frame that begins with these six, header included; 0 where they are no such header.

    >>> bytes_of(b"\\xff\\xfb\\x90\\x00\\x00\\x00"), bytes_of(b"\\xff\\xf1\\x50\\x80\\x03\\x3f")
    (417, 25)
    """
    if len(head) < 6 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return 0
    layer = head[1] >> 1 & 3
    if layer == 0:
        return (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5 if head[1] & 0xF0 == 0xF0 else 0
    return _mpeg(head[1] >> 3 & 3, layer, head[2])


def kind_of(head: Sequence[int]) -> tuple[int, ...]:
    """What stays the same from frame to frame: version, layer, rate; empty where these are no bytes of a header."""
    if len(head) < 6:
        return ()
    is_adts = head[1] >> 1 & 3 == 0
    return head[1] & 0xFE, head[2] & (0xFC if is_adts else 0x0C)


def _mpeg(version: int, layer: int, byte: int) -> int:
    """Layers III (1) and II (2) of MPEG 1 (3), 2 (2) and 2.5 (0)."""
    rate, index = byte >> 2 & 3, byte >> 4
    if version == 1 or layer == 3 or rate == 3 or not 0 < index < 15:
        return 0
    kbps = (_V1_L3 if layer == 1 else _V1_L2)[index] if version == 3 else _V2[index]
    hz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    slots = 72 if layer == 1 and version != 3 else 144
    return slots * kbps * 1000 // hz + (byte >> 1 & 1)
