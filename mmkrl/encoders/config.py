"""Which features to extract, and how: the configuration, which needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, field_validator, model_validator

from mmkrl.config import OPERATIONAL, Section, known_to
from mmkrl.data.config import Fit
from mmkrl.data.views.config import Backbones
from mmkrl.plugins import Registry

ENCODERS: Registry[Any] = Registry(
    "image encoder",
    "mmkrl.encoders",
    {
        "efficientnet_lite0": "mmkrl.encoders.efficientnet_lite:LITE0",
        "efficientnet_lite2": "mmkrl.encoders.efficientnet_lite:LITE2",
        "alexnet": "mmkrl.encoders.torchvision_models:ALEXNET",
        "vgg19": "mmkrl.encoders.torchvision_models:VGG19",
        "resnet50": "mmkrl.encoders.torchvision_models:RESNET50",
    },
)
"""Each a :class:`mmkrl.encoders.image_encoder.ImageEncoder`."""
RANDOM = "random"  # extract.weights: an untrained network
EncoderName: TypeAlias = Annotated[str, known_to(ENCODERS)]
EngineName: TypeAlias = Literal[
    "torch", "torch_bf16", "openvino", "openvino_bf16", "cuda", "cuda_fp16"
]


class ExtractConfig(Section):
    """Which features to extract, and how."""

    renamed: ClassVar[Mapping[str, str]] = {
        name: f"cluster.extraction.{name}" for name in ("workers", "stall_s")
    }

    backbones: tuple[EncoderName, ...] = Field(default=("efficientnet_lite0",), min_length=1)
    """Pretrained networks: efficientnet_lite0 and efficientnet_lite2 (made for 260 pixels), which
    ship with their packages, alexnet, vgg19, resnet50; or an encoder of an installed package, or
    ``python:MODULE:NAME``. Several share one pass over the pictures."""
    weights: dict[EncoderName, str] = Field(default={})
    """Path of a backbone's state dict, local or ``s3://``; a backbone not named gets its published
    weights, ``random`` means untrained ones (the report says so)."""
    places: bool = False
    """Beside a network's vector, the means of inner layers over the fields of a 4 x 4 grid: what
    is where, in vectors five times as long or more (not of alexnet and vgg19)."""
    crops: Literal[1, 2, 10] = 1
    """Parts of a picture whose vectors are averaged: 1, the whole; 2, and its mirror image; 10, the
    corners and the centre (7/8 of the side) with their mirror images. Cost grows with it."""
    duplicates: Literal["all", "one"] = "all"
    """``one`` leaves out images for which deduplication kept another one; they become dead
    letters with the reason ``duplicate``."""
    engine: Literal["auto"] | EngineName = "auto"
    """What runs the networks. ``auto`` takes the fastest one installed whose vectors agree with
    float32 torch (cosine at least 0.999 on every picture of a sample): cuda_fp16, cuda on a GPU;
    openvino_bf16, openvino, torch_bf16, torch on a CPU."""
    image_size: int = Field(default=224, ge=32, le=1024)
    """Side of the square every picture is resized to, in pixels; cost grows with its square."""
    fit: Fit = "squeeze"
    """``squeeze`` shows the network the whole picture; ``centre`` its central square."""
    batch_size: int | None = Field(default=None, ge=1)
    """Pictures in one forward pass; null means 16 on a CPU, 256 on a GPU."""
    max_bytes: int = Field(default=32 << 20, ge=1)
    """Largest encoded picture, in bytes."""
    max_pixels: int = Field(default=64_000_000, ge=1)
    """Largest picture, width times height."""
    decode_seconds: float = Field(default=20.0, gt=0, json_schema_extra=OPERATIONAL)
    """Longest time that decoding a picture may take."""
    decode_mb: int = Field(default=1024, ge=16, json_schema_extra=OPERATIONAL)
    """Most memory that decoding a picture may take, in MiB."""
    unit_rows: int = Field(default=256, ge=1)
    """Pictures of a unit: what a kill can lose, and what travels between workers."""

    @field_validator("backbones")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) != len(names):
            raise ValueError(f"extract.backbones names one twice: {', '.join(names)}")
        return names

    @model_validator(mode="after")
    def _crops_have_no_places(self) -> ExtractConfig:
        if self.places and self.crops > 1:
            raise ValueError(
                f"extract.crops = {self.crops} and places: the crops' places differ, so their mean "
                "says nothing; choose one"
            )
        return self

    def only(self, backbones: Backbones) -> ExtractConfig:
        """The same with the backbones whose features a model learns from."""
        return self.model_copy(update={"backbones": backbones or self.backbones[:1]})
