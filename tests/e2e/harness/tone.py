"""Tones as WAV files, and the ear that finds them again: how a test knows that media really arrived."""

import math
import struct
import wave

RATE = 8000


def write(path, hertz, seconds=30):
    """A mono 8 kHz sine."""
    period = [int(12000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(RATE)]
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(struct.pack(f"<{RATE}h", *period) * seconds)


def share(samples, hertz):
    """How much of the energy of the samples is at that frequency: Goertzel's filter, 0 to 1."""
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    one = two = 0.0
    for sample in samples:
        one, two = sample + factor * one - two, one
    power = one * one + two * two - factor * one * two
    return 2 * power / (len(samples) * energy)


def heard_seconds(path, hertz):
    """For how long the tone can be heard in a recording; its writer need not have finished the header."""
    octets = path.read_bytes() if path.exists() else b""
    start = octets.find(b"data")
    if start < 0:
        return 0.0
    pcm = octets[start + 8 :]
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm[: len(pcm) // 2 * 2])
    slice_size = RATE // 10
    slices = [samples[i : i + slice_size] for i in range(0, len(samples) - slice_size + 1, slice_size)]
    return sum(share(part, hertz) > 0.5 for part in slices) / 10
