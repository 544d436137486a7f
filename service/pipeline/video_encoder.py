"""Encodes the video file: H.264 stills and AAC speech in an MP4, from the PNG and WAV files of the scenes.

The parameters keep the cost per job low: fast presets, one thread, a bit rate for speech, and by default few and small
frames (`shape`). Equal scenes give equal bytes. Only worker processes import this module: FFmpeg may crash or hang on
hostile media.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av import AudioFrame, VideoFrame
from av.video.frame import PictureType
from av.video.reformatter import VideoReformatter

from reelbench.service.pipeline.tasks import Shape
from reelbench.service.provider_client.formats import MediaError, check_png, pcm

SAMPLE_RATE = 16_000
_BIT_RATE = 12_000
_VIDEO_OPTIONS = {"preset": "ultrafast", "tune": "zerolatency"}
_AUDIO_OPTIONS = {"aac_coder": "fast", "aac_tns": "0", "aac_is": "0", "aac_ms": "0", "aac_pns": "0"}


@dataclass(frozen=True, slots=True)
class Slide:
    """The content of one scene."""

    png: bytes
    wav: bytes


def encode(slides: list[Slide], shape: Shape) -> bytes:
    """Return the MP4 of `slides` in equal parts; blocks, for small frames some milliseconds. Raises MediaError."""
    rate = Fraction(*shape.rate)
    output = io.BytesIO()
    try:
        with av.open(output, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
            options = _VIDEO_OPTIONS | {"crf": str(shape.crf)}
            video = container.add_stream("libx264", rate=rate, options=options)
            video.width, video.height = shape.width, shape.height
            video.pix_fmt = "yuv420p"
            video.codec_context.thread_count = 1
            audio = container.add_stream("aac", rate=SAMPLE_RATE, options=_AUDIO_OPTIONS)
            audio.codec_context.layout = "mono"
            audio.bit_rate = _BIT_RATE
            for picture in _pictures(slides, shape, rate):
                container.mux(video.encode(picture))
            container.mux(video.encode(None))
            container.mux(audio.encode(_sound(slides, shape.frames / rate)))
            container.mux(audio.encode(None))
    except av.FFmpegError as error:
        raise MediaError(f"media that FFmpeg cannot process ({error.strerror})") from error
    return output.getvalue()


def _pictures(slides: list[Slide], shape: Shape, rate: Fraction) -> Iterator[VideoFrame]:
    number = 0
    scaler = VideoReformatter()  # shared, because its tables cost more than the scaling
    for position, slide in enumerate(slides, start=1):
        check_png(slide.png)
        decoder = av.CodecContext.create("png", "r")
        decoder.thread_count = 1
        frames = decoder.decode(av.Packet(slide.png))
        if not frames:
            raise MediaError("a PNG image without a picture")
        picture = scaler.reformat(frames[0], shape.width, shape.height, "yuv420p", interpolation="AREA")
        picture.time_base = 1 / rate
        # A decoded PNG is marked as a key frame; without this line every frame of a still would be coded in full.
        picture.pict_type = PictureType.NONE
        # Rounded up: the first scene is seen even in a video of one frame.
        while number < -(-shape.frames * position // len(slides)):
            picture.pts = number
            number += 1
            yield picture


def _sound(slides: list[Slide], seconds: Fraction) -> AudioFrame:
    """Return the speech of all scenes in one frame, each cut or padded with silence to its part of the video."""
    sounds = [pcm(slide.wav) for slide in slides]
    rate, channels = sounds[0].rate, sounds[0].channels
    track = bytearray()
    for position, sound in enumerate(sounds, start=1):
        if (sound.rate, sound.channels) != (rate, channels):
            raise MediaError("WAV files of different formats in one video")
        end = int(rate * seconds * position / len(slides)) * channels * 2
        track += sound.samples[: end - len(track)]
        track += bytes(end - len(track))
    frame = AudioFrame("s16", "mono" if channels == 1 else "stereo", int(rate * seconds))
    frame.sample_rate = rate
    frame.pts = 0
    frame.planes[0].update(bytes(track))
    return frame
