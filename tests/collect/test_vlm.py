from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bayeslat.collect.knobs import Knobs
from bayeslat.errors import InputError


@pytest.mark.parametrize("top_k", [1, 3, 8])
@pytest.mark.parametrize("active_blocks", [2, 4])
def test_top_k_changes_the_experts_of_each_token(
    vlm: Any, knobs: Knobs, top_k: int, active_blocks: int
) -> None:
    from bayeslat.collect.generate import generate_greedily

    chosen = replace(knobs, top_k=top_k, active_blocks=active_blocks)
    calls: list[tuple[int, int]] = []  # tokens and experts per token, of each block's experts

    def watch(_module: Any, inputs: tuple[Any, ...]) -> None:
        tokens, experts = inputs[1].shape
        calls.append((tokens, experts))

    experts = [block.mlp.experts for block in vlm.parts.language_model.layers]
    hooks = [part.register_forward_pre_hook(watch) for part in experts]
    with vlm.set_to(chosen):
        generate_greedily(vlm.model, vlm.request(chosen, seed=0))
    for hook in hooks:
        hook.remove()
    prompt = 2 * (2 * 4 + 9)  # sequences x (crops x tokens + prompt)
    steps = [prompt, *[2] * 3]
    assert calls == [(tokens, top_k) for tokens in steps for _ in range(active_blocks)]


def test_a_dense_model_has_no_gates(vlms: dict[str, Any]) -> None:
    assert vlms["qwen3_vl"].gates == ()
    assert len(vlms["qwen3_vl_moe"].gates) == 4


def test_the_model_is_restored_even_after_an_error(vlm: Any, knobs: Knobs) -> None:
    blocks = vlm.parts.language_model.layers
    before = [gate.top_k for gate in vlm.gates]

    def fail_inside() -> None:
        with vlm.set_to(replace(knobs, top_k=1, active_blocks=2)):
            assert len(vlm.parts.language_model.layers) == 2
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_inside()
    assert vlm.parts.language_model.layers is blocks
    assert len(blocks) == 4
    assert [gate.top_k for gate in vlm.gates] == before


def test_a_seed_gives_the_same_weights(torch: Any, transformers: Any, config_path: Path) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    source = Source(str(config_path), random_weights=True)
    first, second, other = (load_vlm(source, "float32", seed=seed) for seed in (1, 1, 2))
    weights = [part.model.lm_head.weight for part in (first, second, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_drawing_weights_leaves_the_random_state_alone(
    torch: Any, transformers: Any, config_path: Path
) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    before = torch.random.get_rng_state()
    load_vlm(Source(str(config_path), random_weights=True), "float32", seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_drawing_weights_leaves_other_gpus_alone(
    torch: Any, transformers: Any, config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    asked: list[object] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_rng_state", asked.append)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda *_: None)
    load_vlm(Source(str(config_path), random_weights=True), "float32", "cpu")
    assert asked == []


def test_a_model_is_waited_for_when_it_is_tried_out(
    transformers: Any, config_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bayeslat.collect import vlm as module

    class Gpu:
        def settle(self) -> None:
            raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(module, "clock_of", lambda _: Gpu())
    with pytest.raises(InputError, match=r"the model does not run .*device-side assert"):
        module.load_vlm(module.Source(str(config_path), random_weights=True), "float32")


def test_a_model_on_several_devices_is_refused(
    torch: Any, transformers: Any, config_path: Path
) -> None:
    from bayeslat.collect.vlm import Source, as_vlm, load_vlm

    model = load_vlm(Source(str(config_path), random_weights=True), "float32").model
    model.lm_head.to("meta")
    with pytest.raises(InputError, match=r"several devices \(cpu, meta\).*model\.to"):
        as_vlm(model)


def test_a_folder_is_loaded_with_its_weights(torch: Any, vlm: Any, tmp_path: Path) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    vlm.model.save_pretrained(tmp_path)
    loaded = load_vlm(Source(str(tmp_path)), "float32")
    assert loaded.limits == vlm.limits
    assert torch.equal(loaded.model.lm_head.weight, vlm.model.lm_head.weight)


def test_a_missing_configuration_is_named(transformers: Any, tmp_path: Path) -> None:
    from bayeslat.collect.vlm import Source, read_config

    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        read_config(Source(str(tmp_path / "absent.json"), random_weights=True))


@pytest.mark.parametrize("text", ["{", "[1]", "{}", "3", '{"model_type": "x"}'])
def test_a_broken_configuration_is_refused(transformers: Any, tmp_path: Path, text: str) -> None:
    from bayeslat.collect.vlm import Source, read_config

    path = tmp_path / "config.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=r"config\.json: its configuration cannot be read"):
        read_config(Source(str(path), random_weights=True))


@pytest.mark.parametrize(
    ("part", "name", "value", "told"),
    [
        ("text_config", "hidden_size", "wide", "configuration cannot be read .*hidden_size"),
        ("vision_config", "patch_size", 0, "configuration cannot be used .*ZeroDivisionError"),
        ("text_config", "num_key_value_heads", 0, "cannot be loaded .*ZeroDivisionError"),
        ("vision_config", "num_heads", 5, "does not run .*invalid"),
    ],
)
def test_a_configuration_that_contradicts_itself_is_refused(
    transformers: Any,
    config_path: Path,
    tmp_path: Path,
    part: str,
    name: str,
    value: Any,
    told: str,
) -> None:
    from bayeslat.collect.vlm import Source, load_vlm, read_limits

    config = json.loads(config_path.read_text(encoding="utf-8"))
    config[part][name] = value
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    source = Source(str(path), random_weights=True)

    def read_and_load() -> None:
        read_limits(source)
        load_vlm(source, "float32")

    with pytest.raises(InputError, match=rf"config\.json: .*{told}.*correct it, or give"):
        read_and_load()


@pytest.mark.parametrize("part", [None, "text_config"])
def test_a_quantised_model_is_refused(
    transformers: Any, config_path: Path, tmp_path: Path, part: str | None
) -> None:
    from bayeslat.collect.vlm import Source, load_vlm, read_limits

    config = json.loads(config_path.read_text(encoding="utf-8"))
    (config if part is None else config[part])["quantization_config"] = {"quant_method": "fp8"}
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    source = Source(str(path), random_weights=True)
    for read in (read_limits, lambda source: load_vlm(source, "bfloat16")):
        with pytest.raises(InputError, match=r"config\.json: its weights are quantised \(fp8\)"):
            read(source)


@pytest.mark.parametrize("length", [0, 4, 5000])
def test_damaged_weights_are_refused(vlm: Any, tmp_path: Path, length: int) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    vlm.model.save_pretrained(tmp_path)
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:length])
    with pytest.raises(InputError, match=r"cannot be loaded \(SafetensorError"):
        load_vlm(Source(str(tmp_path)), "float32")


def test_no_code_of_a_model_is_run_nor_asked_for(
    transformers: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from bayeslat.collect.vlm import Source, read_config

    def answer(*_: object) -> str:
        raise AssertionError("asked on the terminal")

    monkeypatch.setattr("builtins.input", answer)
    config = {"model_type": "of_its_own", "auto_map": {"AutoConfig": "code.Config"}}
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with pytest.raises(InputError, match="contains custom code"):
        read_config(Source(str(tmp_path)))


def test_loading_is_silent_in_a_pipe(
    vlm: Any, transformers: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from bayeslat.collect.vlm import Source, load_vlm

    vlm.model.save_pretrained(tmp_path)
    capfd.readouterr()
    load_vlm(Source(str(tmp_path)), "float32")
    assert capfd.readouterr() == ("", "")
    assert transformers.utils.logging.is_progress_bar_enabled()


def test_an_unknown_folder_is_refused_with_the_cure(transformers: Any, tmp_path: Path) -> None:
    from bayeslat.collect.vlm import Source, read_config

    with pytest.raises(InputError, match="give a folder of a model"):
        read_config(Source(str(tmp_path / "absent")))


@pytest.mark.parametrize("library", ["torch", "transformers"])
def test_a_missing_library_is_named_with_its_cure(
    monkeypatch: pytest.MonkeyPatch, library: str
) -> None:
    import sys

    from bayeslat.collect import backend

    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"{library} is not installed.*\.\[collect\]"):
        getattr(backend, f"load_{library}")()
