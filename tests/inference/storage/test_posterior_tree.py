from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings

from bayeslat.inference.posteriors.posterior import PosteriorData
from bayeslat.inference.storage.posterior_tree import from_tree, to_tree
from tests.posteriors import make_data
from tests.random_posteriors import assert_same, random_posteriors

pytestmark = pytest.mark.xdist_group("small posterior")


@pytest.fixture(scope="module")
def stacked() -> PosteriorData:
    """A posterior with every level: stacks, GPUs, a family."""
    return make_data(stacks=("v1", "v2"))


@pytest.fixture(scope="module")
def posterior(stacked: PosteriorData) -> xr.Dataset:
    return to_tree(stacked)["posterior"].to_dataset()


@settings(max_examples=50)
@given(data=random_posteriors())
def test_every_posterior_comes_back_to_the_bit(data: PosteriorData) -> None:
    assert_same(from_tree(to_tree(data)), data)


def test_draws_have_names_and_dimensions(posterior: xr.Dataset) -> None:
    found = {str(name): variable.dims[2:] for name, variable in posterior.items()}
    assert found == {
        "shared_effect": ("feature",),
        "family_effect": ("family", "feature"),
        "gpu_effect": ("gpu", "feature"),
        "stack_effect": ("stack", "feature"),
        "coefficient": ("gpu", "term"),
        "offset": ("gpu", "term"),
        "offset_scale": ("offset_feature",),
        "shared_scale": ("shared_kind",),
        "family_share": ("stage",),
        "stack_ratio": ("stage",),
        "noise": ("stage",),
        "noise_ratio": ("stage", "group"),
        "noise_sd": ("stage", "group"),
    }
    assert all(variable.dims[:2] == ("chain", "draw") for variable in posterior.values())
    assert all(variable.attrs["description"] for variable in posterior.values())
    assert all(np.isfinite(variable).all() for variable in posterior.values())
    assert all(np.issubdtype(variable.dtype, np.floating) for variable in posterior.values())


def test_labels_lead_to_the_right_draws(stacked: PosteriorData, posterior: xr.Dataset) -> None:
    part = stacked.stages["decode"]
    tree, launch = part.problem.tree, part.problem.features.names.index("launch")
    chosen = posterior.isel(chain=0).sel(feature="decode/launch", term="decode/launch")
    effect = {name: part.effects[:, node, launch] for node, name in enumerate(tree.names)}
    shared = part.effects[:, -1, launch]
    for found, expected in (
        (chosen["shared_effect"], shared),
        (chosen["family_effect"].sel(family="hopper"), effect["hopper"]),
        (chosen["gpu_effect"].sel(gpu="h200_sxm"), effect["h200_sxm"]),
        (chosen["stack_effect"].sel(stack="h200_sxm@v2"), effect["h200_sxm@v2"]),
        (chosen["offset"].sel(gpu="h200_sxm"), effect["h200_sxm"] - shared),
        (
            chosen["coefficient"].sel(gpu="h200_sxm"),
            np.exp(part.shared_efficiency[launch] + effect["h200_sxm"]),
        ),
    ):
        np.testing.assert_array_equal(found.to_numpy(), expected)


def test_scales_and_noise_are_those_of_the_stage(
    stacked: PosteriorData, posterior: xr.Dataset
) -> None:
    part = stacked.stages["prefill"]
    names = part.problem.layout.names
    chosen = posterior.isel(chain=0).sel(stage="prefill")
    for found, name in (
        (chosen["offset_scale"].sel(offset_feature="prefill/memory"), "offset_scale[memory]"),
        (chosen["shared_scale"].sel(shared_kind="prefill/residual"), "shared_scale[residual]"),
        (chosen["noise"], "noise"),
        (chosen["noise_ratio"].sel(group="a100_sxm@v2"), "noise_ratio[a100_sxm@v2]"),
        (chosen["stack_ratio"], "stack_ratio"),
    ):
        np.testing.assert_array_equal(found, np.exp(part.scales[:, names.index(name)]))
    share = 1 / (1 + np.exp(-part.scales[:, names.index("family_share")]))
    np.testing.assert_array_equal(chosen["family_share"], share)
    group = stacked.groups.index(("a100_sxm", "v2"))
    np.testing.assert_array_equal(chosen["noise_sd"].sel(group="a100_sxm@v2"), part.noise_sd(group))


def test_training_ranges_and_statistics_are_labelled(stacked: PosteriorData) -> None:
    stored = to_tree(stacked)["stages/prefill"].to_dataset()
    high = np.log(stacked.reference["context"].max())
    assert float(stored["high"].sel(coordinate="log(context)")) == pytest.approx(high)
    assert float(stored["rows"].sel(group="a100_sxm@v1")) == 40
    gram = stored["gram"].sel(group="a100_sxm@v1", feature="memory", other_feature=1)
    assert gram == stacked.stages["prefill"].problem.statistics.gram[0, 1, 1]


def test_attributes_say_what_was_fitted_and_with_what(stacked: PosteriorData) -> None:
    attrs = to_tree(stacked).attrs
    texts = ("hardware", "groups", "families", "diagnostics", "caveats", "library_versions", "fit")
    strict = {name: json.loads(attrs[name], parse_constant=pytest.fail) for name in texts}
    assert strict["hardware"]["h100_sxm"]["mem_bw_GBps"] == 3350
    assert strict["groups"][0] == ["a100_sxm", "v1"]
    assert strict["families"]["h100_sxm"] == "hopper"
    assert {"bayeslat", "numpy", "xarray"} <= set(strict["library_versions"])
    assert strict["diagnostics"][0]["rhat"][0] == "nan"  # of a single chain
    assert attrs["spec_hash"] == stacked.spec.hash
    assert (attrs["engine"], attrs["seed"], attrs["rows"]) == ("laplace", 0, 240)
    assert len(attrs["fingerprint"]) == 64
