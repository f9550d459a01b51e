"""The command that draws a trace from known parameters."""

from __future__ import annotations

from bayeslat.cli_input import choose_configs, read_parameters
from bayeslat.cli_options import common as opt
from bayeslat.cli_options import simulate as simulate_opt
from bayeslat.cli_output import ensure_writable
from bayeslat.cli_run import ends_well, print_result, writing
from bayeslat.cli_values import split_names

__all__ = ["simulate"]


@ends_well
def simulate(
    model: opt.Model,
    gpus: simulate_opt.SimulatedGpus,
    output: opt.Output,
    configs: simulate_opt.ConfigsFile = None,
    count: simulate_opt.Count = None,
    knob: opt.Knobs = None,
    stacks: simulate_opt.Stacks = None,
    repeats: simulate_opt.Repeats = 1,
    parameters: simulate_opt.Parameters = None,
    hardware: opt.Hardware = None,
    seed: opt.Seed = 0,
    as_json: opt.Json = False,
) -> None:
    """Draw a trace from known parameters.

    Configurations are those of --configs, or -n of them from --knob ranges. The parameters are
    written beside the trace, as OUTPUT.parameters.json: sim.csv.parameters.json for sim.csv.
    """
    from bayeslat.atomic import atomic_path
    from bayeslat.features.hardware import load_hardware
    from bayeslat.features.spec import load_spec
    from bayeslat.model.simulate import draw_parameters
    from bayeslat.model.simulate import simulate as draw_trace
    from bayeslat.report.simulation_tables import show_simulation, simulation_record
    from bayeslat.traces import write_traces
    from bayeslat.traces.write import check_table_path

    ensure_writable(check_table_path(output), model, configs, parameters, hardware)
    names, versions = split_names(gpus, "--gpus"), split_names(stacks, "--stacks")
    spec, table = load_spec(model), load_hardware(hardware)
    frame = choose_configs(spec, configs, count, knob or [], seed)
    truth = (
        read_parameters(parameters)
        if parameters
        else draw_parameters(spec, names, configs=frame, stacks=versions, seed=seed, hardware=table)
    )
    drawn = draw_trace(
        spec,
        frame,
        names,
        stacks=versions,
        repeats=repeats,
        parameters=truth,
        seed=seed,
        hardware=table,
    )
    beside = output.with_name(f"{output.name}.parameters.json")
    with writing(beside), atomic_path(beside) as temporary:
        temporary.write_text(truth.to_json(), encoding="utf-8")
    with writing(output):
        write_traces(drawn, output)
    record = {**simulation_record(spec, drawn, output, beside), "seed": seed}
    print_result(record, as_json, lambda: show_simulation(record))
