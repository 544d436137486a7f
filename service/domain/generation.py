"""What a request asks of its video: the fields of the Videos API, and those that other text-to-video servers share."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

Seconds = Literal["4", "8", "12"]
Quality = Literal["auto", "low", "medium", "standard", "high", "hd"]

DEFAULT_MODEL = "sora-2"
OPENAI_SIZES = ("720x1280", "1280x720", "1024x1792", "1792x1024")
SHORTEST_SIDE = 16
LONGEST_SIDE = 2048
MOST_FRAMES = 1000
MOST_SECONDS = 60
MOST_PIXELS = 700_000_000
"""Pixels of all frames together: at most some seconds of encoding."""
DEFAULT_RATE = Fraction(5, 2)
"""Frames per second of a request that names neither `fps` nor `num_frames`: enough for stills; each of five scenes gets
a whole number of frames at every length of the Videos API."""
_DENOMINATOR = 1001
"""Largest denominator of a frame rate, as that of 30000/1001."""


def _text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _no_flag(value: object) -> object:
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


def _size(value: str) -> str:
    for side in value.split("x"):
        if not SHORTEST_SIDE <= int(side) <= LONGEST_SIDE or int(side) % 2:
            raise PydanticCustomError(
                "size",
                "Each side should be an even number from {least} to {most}",
                {"least": SHORTEST_SIDE, "most": LONGEST_SIDE},
            )
    return value


Number = BeforeValidator(_no_flag)
Side = Annotated[int, Number, Field(ge=SHORTEST_SIDE, le=LONGEST_SIDE, multiple_of=2)]


class Record(BaseModel):
    """Base of all records: frozen, without further fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Parameters(Record):
    """The fields that text-to-video servers share beyond the Videos API; None: not asked for."""

    width: Side | None = None
    """Pixels; only together with `height`, and in place of `size`."""
    height: Side | None = None
    num_frames: Annotated[int, Number, Field(ge=1, le=MOST_FRAMES)] | None = None
    fps: Annotated[float, Number, Field(ge=1, le=60)] | None = None
    """Frames per second; without it `num_frames` are spread over `seconds`."""
    num_inference_steps: Annotated[int, Number, Field(ge=1, le=1000)] | None = None
    guidance_scale: Annotated[float, Number, Field(ge=0, le=100)] | None = None
    seed: Annotated[int, Number, Field(ge=0, le=2**63 - 1)] | None = None
    negative_prompt: Annotated[str, Field(max_length=32_000)] | None = None


class CreateVideo(Parameters):
    """The fields of a creation request without its reference."""

    prompt: Annotated[str, Field(min_length=1, max_length=32_000)]
    model: Annotated[str, Field(min_length=1, max_length=100)] = DEFAULT_MODEL
    seconds: Annotated[Seconds, BeforeValidator(_text)] = "4"
    size: Annotated[str, Field(pattern=r"^[1-9][0-9]{1,3}x[1-9][0-9]{1,3}$"), AfterValidator(_size)] = "720x1280"
    quality: Quality = "standard"

    @property
    def parameters(self) -> Parameters | None:
        """The fields beyond the Videos API; None when the request has none of them."""
        found: dict[str, Any] = {name: getattr(self, name) for name in Parameters.model_fields}
        return Parameters(**found) if any(value is not None for value in found.values()) else None

    @property
    def asked_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        if self.width is not None and self.height is not None:
            return self.width, self.height
        width, height = self.size.split("x")
        return int(width), int(height)

    @property
    def frames(self) -> int:
        """Number of frames."""
        if self.num_frames is not None:
            return self.num_frames
        return max(1, int(int(self.seconds) * self.rate))

    @property
    def rate(self) -> Fraction:
        """Frames per second."""
        if self.fps is not None:
            return Fraction(self.fps).limit_denominator(_DENOMINATOR)
        if self.num_frames is not None:
            return Fraction(self.num_frames, int(self.seconds))
        return DEFAULT_RATE

    @property
    def length(self) -> Fraction:
        """Seconds of the video: `seconds`, unless `num_frames` and `fps` say otherwise."""
        return Fraction(self.num_frames) / self.rate if self.num_frames is not None else Fraction(int(self.seconds))

    def conflict(self) -> tuple[str, str] | None:
        """Return a field and what is wrong with it, for values that are valid alone but not together."""
        if (self.width is None) != (self.height is None):
            missing = "width" if self.width is None else "height"
            return missing, f"Missing '{missing}': give both sides or neither."
        if self.length > MOST_SECONDS:
            return "num_frames", (
                f"{self.num_frames} frames at {float(self.rate):g} frames per second last {float(self.length):g} s; "
                f"at most {MOST_SECONDS} s are possible."
            )
        width, height = self.asked_size
        if width * height * self.frames > MOST_PIXELS:
            return "fps" if self.num_frames is None else "num_frames", (
                f"{self.frames} frames of {width}x{height} have more than {MOST_PIXELS:,} pixels together; "
                "ask for fewer or smaller frames."
            )
        return None
