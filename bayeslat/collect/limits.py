"""What a vision-language model allows the knobs to be."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["VlmLimits"]


@dataclass(frozen=True)
class VlmLimits:
    """Sizes of a model that bound its knobs.

    Attributes
    ----------
    image_pixels : int
        Side of a (square) crop unless a configuration gives another.
    pixel_step : int
        Sides of crops are multiples of this; 0 where `image_pixels` is the only side.
    pixels_per_token : int
        Side of the square of pixels that becomes one vision token, after merging.
    markers_per_crop : int
        Prompt tokens that each crop needs around its vision tokens.
    experts : int
        Experts of each decoder block, the largest top_k; 1 for a dense model.
    top_k : int
        Experts of each token as the model was trained; 1 for a dense model.
    blocks : int
        Decoder blocks, the largest active_blocks.
    least_blocks : int
        First blocks that receive vision features, the smallest active_blocks; at least 1.
    context_tokens : int
        Positions that the model was made for.
    """

    image_pixels: int
    pixel_step: int
    pixels_per_token: int
    markers_per_crop: int
    experts: int
    top_k: int
    blocks: int
    least_blocks: int
    context_tokens: int

    def tokens_per_crop(self, image_pixels: int) -> int:
        """Return the vision tokens that a crop of this side becomes."""
        return (image_pixels // self.pixels_per_token) ** 2
