"""Arguments and options of the commands, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = [
    "AlarmRate",
    "Allowance",
    "BlisAlpha",
    "BlisDraws",
    "BlisModel",
    "BlisVersion",
    "Budget",
    "BudgetMinutes",
    "CalibrationCount",
    "CalibrationTraces",
    "Candidates",
    "Chains",
    "CheckTraces",
    "CollectRepeats",
    "CollectedGpu",
    "Confidence",
    "Configs",
    "ConfigsFile",
    "Constants",
    "Cost",
    "Count",
    "Counts",
    "Design",
    "DesignCount",
    "Device",
    "Donors",
    "Draws",
    "DriftGpu",
    "DriftStack",
    "DriftTraces",
    "DropInvalid",
    "Dtype",
    "DtypeName",
    "Engine",
    "EngineAddress",
    "EngineName",
    "Exclude",
    "FalseAccepts",
    "FewJobs",
    "FitTraces",
    "Force",
    "Gpu",
    "Gpus",
    "GuardBudget",
    "Hardware",
    "HeldOut",
    "HuggingFaceModel",
    "ImportFiles",
    "ImportFormat",
    "ImportGpu",
    "ImportStack",
    "Jobs",
    "Json",
    "Knobs",
    "Like",
    "MaxRisk",
    "Method",
    "MethodName",
    "Methods",
    "Model",
    "ModelOrNone",
    "NewTraces",
    "NextCount",
    "Objective",
    "ObjectiveName",
    "Of",
    "OfName",
    "Output",
    "OutputFolder",
    "Parameters",
    "ParquetTraces",
    "PosteriorFile",
    "RandomWeights",
    "ReferenceEvery",
    "Repeats",
    "Repetitions",
    "ReportBudget",
    "ReportTraces",
    "Retire",
    "Seed",
    "ServedModel",
    "SimulatedGpus",
    "Source",
    "Stack",
    "Stacks",
    "StageBudgets",
    "Strata",
    "SuggestBudget",
    "SuggestCount",
    "SuggestFeatures",
    "Target",
    "TensorParallel",
    "TestConfigs",
    "Threads",
    "Threshold",
    "Traces",
    "Tune",
    "WholePrompts",
    "Window",
]

EngineName = Literal["nuts", "laplace"]
OfName = Literal["run", "typical"]
ObjectiveName = Literal["total", "guardrail"]
MethodName = Literal[
    "share_weighted", "maximum_variance", "d_optimal", "residual", "latin_hypercube", "uniform"
]
DtypeName = Literal["float32", "bfloat16", "float16"]

_LARGEST_SEED = 2**32 - 1  # what every random number generator in use takes

# What is read.
Traces = Annotated[
    list[str],
    typer.Argument(
        help="Traces: Parquet, CSV or JSON Lines files, folders, globs.", metavar="TRACES"
    ),
]
CheckTraces = Annotated[
    list[str] | None,
    typer.Argument(help="Traces to predict and to compare with.", metavar="TRACES"),
]
SuggestFeatures = Annotated[
    bool,
    typer.Option("--suggest-features", help="Rank residual features that the spec lacks."),
]
CalibrationTraces = Annotated[
    list[str] | None,
    typer.Argument(
        help="Traces that hold the GPU's measurements; rows of other GPUs are passed over.",
        metavar="TRACES",
    ),
]
FitTraces = Annotated[
    list[str],
    typer.Argument(
        help="Traces: Parquet, CSV or JSON Lines files, folders, globs; or statistics that "
        "`compress` wrote.",
        metavar="TRACES",
    ),
]
ParquetTraces = Annotated[
    list[str],
    typer.Argument(help="Traces: Parquet files, folders, globs.", metavar="TRACES"),
]
NewTraces = Annotated[
    list[str] | None,
    typer.Argument(
        help="New rows of the GPUs that were fitted: Parquet files, folders, globs.",
        metavar="TRACES",
    ),
]
Configs = Annotated[
    list[str],
    typer.Argument(
        help="Configurations: Parquet, CSV or JSON Lines files, folders, globs.", metavar="CONFIGS"
    ),
]
PosteriorFile = Annotated[
    Path, typer.Argument(help="A posterior that `fit` wrote.", metavar="POSTERIOR.nc")
]
Model = Annotated[
    Path, typer.Option("--model", "-m", help="Specification of the stages.", metavar="SPEC.toml")
]
ModelOrNone = Annotated[
    Path | None,
    typer.Option(
        "--model",
        "-m",
        help="Specification of the stages; statistics hold theirs.",
        metavar="SPEC.toml",
        show_default=False,
    ),
]
Hardware = Annotated[
    Path | None,
    typer.Option(help="More GPUs, or other values than the shipped ones.", metavar="FILE.toml"),
]

# What every command takes.
Output = Annotated[
    Path,
    typer.Option("--output", "-o", help="File to write; its folders are made.", metavar="FILE"),
]
Seed = Annotated[
    int,
    typer.Option(help="Seed of every random number.", min=0, max=_LARGEST_SEED, metavar="INTEGER"),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of tables.")]

# Of fit.
Gpus = Annotated[
    str | None, typer.Option(help="GPUs to fit; all of the traces by default.", metavar="A,B,...")
]
Engine = Annotated[EngineName, typer.Option(help="Sample, or approximate in seconds.")]
DropInvalid = Annotated[
    bool,
    typer.Option(
        "--drop-invalid", help="Leave out rows that break a rule; write them beside the output."
    ),
]
LeaveOut = Annotated[
    bool,
    typer.Option("--drop-invalid", help="Leave out rows that break a rule; count and tell them."),
]
Force = Annotated[bool, typer.Option("--force", help="Save even what did not converge.")]
Chains = Annotated[int, typer.Option(help="Chains of NUTS.", min=1, metavar="INTEGER")]
Draws = Annotated[int, typer.Option(help="Draws of each chain.", min=10, metavar="INTEGER")]
Tune = Annotated[
    int,
    typer.Option(help="Tuning draws of each chain, thrown away.", min=50, metavar="INTEGER"),
]

# Of compress and update.
Like = Annotated[
    Path | None,
    typer.Option(
        help="Statistics or a posterior that the rows are to be added to.", metavar="FILE.nc"
    ),
]
Window = Annotated[
    str | None,
    typer.Option(
        help="Name of these rows, to retire them by; that of their file by default.",
        metavar="NAME",
    ),
]
Retire = Annotated[
    list[str] | None,
    typer.Option(
        help="Window to take out; several with several --retire. `fit`: the rows of a posterior "
        "that was fitted from rows.",
        metavar="WINDOW",
    ),
]

# Of collect.
HuggingFaceModel = Annotated[
    str | None,
    typer.Argument(
        help="A model: Hugging Face folder or id.", metavar="[MODEL]", show_default=False
    ),
]
RandomWeights = Annotated[
    Path | None,
    typer.Option(
        help="Instead of a model: its configuration, with random weights, which take as long.",
        metavar="CONFIG.json",
    ),
]
CollectedGpu = Annotated[
    str | None,
    typer.Option(
        help="Key or alias of the hardware table; a GPU's own name by default.", metavar="GPU"
    ),
]
Design = Annotated[
    str,
    typer.Option(
        help="Which configurations: sobol, lhs (Latin hypercube), grid, or a file of them.",
        metavar="DESIGN",
    ),
]
DesignCount = Annotated[
    int | None,
    typer.Option(
        "-n", help="Configurations; 150 by default, and the whole of a grid.", min=1, metavar="N"
    ),
]
CollectRepeats = Annotated[
    int, typer.Option(help="Measurements of each configuration.", min=1, metavar="INTEGER")
]
Dtype = Annotated[
    DtypeName | None,
    typer.Option(help="Of weights and activations: bfloat16 on a GPU, float32 on a CPU."),
]
Device = Annotated[
    str,
    typer.Option(
        help="auto (the first GPU, or else the CPU), cpu, cuda or cuda:N.", metavar="DEVICE"
    ),
]
Threads = Annotated[
    int | None,
    typer.Option(help="Threads of the CPU; all cores by default.", min=1, metavar="INTEGER"),
]
BudgetMinutes = Annotated[
    float | None,
    typer.Option(help="Start no measurement after this time.", min=0, metavar="MINUTES"),
]
ReferenceEvery = Annotated[
    int,
    typer.Option(
        help="Measure the reference again after so many others, to see drift.",
        min=1,
        metavar="INTEGER",
    ),
]

# Of import.
ImportFormat = Annotated[
    str, typer.Argument(help="What wrote the files; --list tells of each.", metavar="FORMAT")
]
ImportFiles = Annotated[
    list[str], typer.Argument(help="Files of any size, folders, globs.", metavar="FILES")
]
ImportGpu = Annotated[
    str | None,
    typer.Option(
        "--gpu", help="GPU of all rows: key or alias; what the files say by default.", metavar="GPU"
    ),
]
ImportStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="Serving software of all rows, as vllm_0.24.0; what the files say by default.",
        metavar="STACK",
    ),
]
ServedModel = Annotated[
    str | None,
    typer.Option(
        help="The model whose rows are wanted, where files name several; its name, where they "
        "name none.",
        metavar="MODEL",
    ),
]
Constants = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A further column with one value for all rows, such as tensor_parallel=2.",
        metavar="NAME=VALUE",
    ),
]

# Of predict.
Gpu = Annotated[str, typer.Option(help="Key or alias of the hardware table.", metavar="GPU")]
Budget = Annotated[
    float | None, typer.Option(help="Latency budget of the total: adds p_exceed.", metavar="MS")
]
Stack = Annotated[
    str | None,
    typer.Option(
        help="Serving software, as in the traces; a column `stack` takes precedence.",
        metavar="STACK",
    ),
]
Of = Annotated[
    OfName,
    typer.Option(help="One further measured run, with its noise, or the run-to-run median."),
]

# Of calibrate.
CalibrationCount = Annotated[
    int | None,
    typer.Option(
        "-n", help="Use so many of the GPU's configurations, drawn by --seed.", min=1, metavar="N"
    ),
]
Threshold = Annotated[
    float,
    typer.Option(help="MAPE of the total that is good enough: 0.10 is 10 %.", metavar="SHARE"),
]

# Of drift.
DriftTraces = Annotated[
    list[str],
    typer.Argument(
        help="Rows measured after the fit: Parquet, CSV or JSON Lines files, folders, globs.",
        metavar="TRACES",
    ),
]
DriftGpu = Annotated[
    str | None,
    typer.Option(
        "--gpu",
        help="Judge this GPU alone; all that the posterior holds by default.",
        metavar="GPU",
    ),
]
DriftStack = Annotated[
    str | None,
    typer.Option(
        "--stack",
        help="Compare all rows with this stack of the posterior, whatever they name: has an "
        "update changed anything?",
        metavar="STACK",
    ),
]
Allowance = Annotated[
    float,
    typer.Option(
        help="How far the fit may be off while nothing has changed, as a part of the noise in each "
        "direction of the features.",
        metavar="SHARE",
    ),
]
AlarmRate = Annotated[
    float,
    typer.Option(
        help="Probability that a call finds a drift while nothing has changed.", metavar="SHARE"
    ),
]

# Of suggest.
Candidates = Annotated[
    list[str],
    typer.Argument(
        help="Configurations to choose from: Parquet, CSV or JSON Lines files, folders, globs.",
        metavar="CANDIDATES",
    ),
]
SuggestCount = Annotated[
    int, typer.Option("-n", help="How many configurations to choose.", min=1, metavar="N")
]
Objective = Annotated[
    ObjectiveName,
    typer.Option(help="Lower the uncertainty of all totals alike, or of those near a budget."),
]
SuggestBudget = Annotated[
    float | None,
    typer.Option("--budget-ms", help="Latency budget, for --objective guardrail.", metavar="MS"),
]
Cost = Annotated[
    str,
    typer.Option(
        help="Choose what brings most for its cost: none, latency (the expected total), or a "
        "column of the candidates in ms.",
        metavar="COST",
    ),
]
Exclude = Annotated[
    str | None,
    typer.Option(help="Configurations not to choose: a file, folder or glob.", metavar="FILE"),
]
Method = Annotated[MethodName, typer.Option(help="How to choose.")]
Strata = Annotated[
    str | None,
    typer.Option(
        help="Cover operating regions: latency (five bands of the expected total), or each value "
        "of a column of the candidates (five bands of a number with more than ten).",
        metavar="COLUMN",
    ),
]

# Of compare and crossval.
Target = Annotated[str, typer.Option(help="GPU to carry over to: key or alias.", metavar="GPU")]
OutputFolder = Annotated[
    Path,
    typer.Option("--output", "-o", help="Folder to write to; it is made.", metavar="FOLDER"),
]
Donors = Annotated[
    str | None,
    typer.Option(help="GPUs to fit; all others of the traces by default.", metavar="A,B,..."),
]
Source = Annotated[
    str | None,
    typer.Option(
        help="Donor whose model single-source methods carry over; the first by default.",
        metavar="GPU",
    ),
]
Methods = Annotated[
    str | None,
    typer.Option(help="Methods to run; all that suit the spec by default.", metavar="A,B,..."),
]
Counts = Annotated[str, typer.Option(help="Numbers of calibration rows.", metavar="N,N,...")]
Repetitions = Annotated[
    int,
    typer.Option(help="Random choices of calibration and test configurations.", min=1, metavar="N"),
]
TestConfigs = Annotated[
    int,
    typer.Option(help="Configurations held out, at most half of the target's.", min=1, metavar="N"),
]
Jobs = Annotated[int | None, typer.Option(help="Processes; one a core by default.", metavar="N")]
FewJobs = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        help="Processes; one by default, as starting more takes longer than a small trace does.",
        metavar="N",
    ),
]
EngineAddress = Annotated[
    str | None,
    typer.Option(
        help="Scheduler of a Dask cluster that does the work in place of this machine, as in "
        "tcp://10.0.0.7:8786.",
        metavar="ADDRESS",
    ),
]

# Of guard.
GuardBudget = Annotated[
    float | None, typer.Option("--budget-ms", help="Latency budget of the total.", metavar="MS")
]
StageBudgets = Annotated[
    list[str] | None,
    typer.Option(
        "--stage-budget",
        help="Budget of a stage, or of several joined by +: llm_decode_per_token=40.",
        metavar="STAGE=MS",
    ),
]
MaxRisk = Annotated[
    float, typer.Option(help="Largest P(latency > budget) that is accepted.", metavar="SHARE")
]

HeldOut = Annotated[
    list[str] | None,
    typer.Option(
        help="Measurements that calibrated nothing, to bound the false accepts: a file, folder or "
        "glob.",
        metavar="TRACES",
    ),
]
FalseAccepts = Annotated[
    float,
    typer.Option(help="Limit of false accepts that held-out rows shall show.", metavar="SHARE"),
]
Confidence = Annotated[float, typer.Option(help="Of that limit.", metavar="SHARE")]

# Of export.
Reader = Annotated[
    bool, typer.Option("--reader/--no-reader", help="Write guard_reader.py beside the bundle.")
]

BlisModel = Annotated[
    str,
    typer.Option("--model", "-m", help="Model, as the traces name it.", metavar="NAME"),
]
TensorParallel = Annotated[
    int, typer.Option("--tp", help="Tensor parallel degree.", min=1, metavar="INTEGER")
]
BlisDraws = Annotated[
    int,
    typer.Option(
        "--draws", help="Draws of the coefficients, a file each.", min=0, metavar="INTEGER"
    ),
]
BlisVersion = Annotated[
    str,
    typer.Option(
        help="Version of BLIS, as in v0.7.11; up to v0.7.10 its blackbox model.", metavar="VERSION"
    ),
]
BlisAlpha = Annotated[
    str | None,
    typer.Option(
        help="Overheads in us that the engine does not see: of a request, after its last token, "
        "of a token. By default the time through an empty queue, 0, 0. The second is that of a "
        "prompt token up to v0.7.10.",
        metavar="A0,A1,A2",
    ),
]
WholePrompts = Annotated[
    bool,
    typer.Option(
        "--whole-prompts",
        help="Fit to the attention of prompts as BLIS counts it, of each chunk to all of it.",
    ),
]

# Of report.
ReportTraces = Annotated[
    list[str],
    typer.Argument(
        help="Measurements of the GPU, and of donors to compare with: Parquet, CSV or JSON Lines "
        "files, folders, globs.",
        metavar="TRACES",
    ),
]
ReportBudget = Annotated[
    float, typer.Option("--budget-ms", help="Latency budget of the total.", metavar="MS")
]
NextCount = Annotated[
    int, typer.Option("-n", help="How many configurations to suggest.", min=1, metavar="N")
]

# Of simulate.
SimulatedGpus = Annotated[str, typer.Option(help="GPUs to simulate.", metavar="A,B,...")]
ConfigsFile = Annotated[
    str | None,
    typer.Option(help="Configurations to simulate: a file, folder or glob.", metavar="FILE"),
]
Count = Annotated[
    int | None,
    typer.Option("-n", help="Configurations to draw from --knob ranges.", min=1, metavar="N"),
]
Knobs = Annotated[
    list[str] | None,
    typer.Option(
        help="Range of a knob, once for each: low:high, low:high:log, or values a,b,c.",
        metavar="NAME=RANGE",
    ),
]
Stacks = Annotated[
    str | None, typer.Option(help="Stacks, each on every GPU; none by default.", metavar="A,B,...")
]
Repeats = Annotated[
    int, typer.Option(help="Measurements of each configuration.", min=1, metavar="INTEGER")
]
Parameters = Annotated[
    Path | None,
    typer.Option(
        help="True parameters, as `simulate` writes them; drawn from the priors by default.",
        metavar="FILE.json",
    ),
]
