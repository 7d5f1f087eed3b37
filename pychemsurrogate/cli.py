"""The command line. Each command imports its room when it runs, so that none needs more than it uses."""

from __future__ import annotations

from dataclasses import replace

import click

import pychemsurrogate
from pychemsurrogate import hosts


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(pychemsurrogate.__version__, prog_name="pychemsurrogate")
@click.option("--cflags", is_flag=True, help="Print the C and C++ compilers' flags for a host of libpcs.")
@click.option("--libs", is_flag=True, help="Print the linker's flags for a host of libpcs.")
@click.option("--include-dir", is_flag=True, help="Print the folder of pcs.h.")
@click.option("--fortran-source", is_flag=True, help="Print the path of the Fortran module's source.")
@click.option("--cmake-dir", is_flag=True, help="Print the folder of the CMake package.")
@click.option("--pkg-config-dir", is_flag=True, help="Print the folder of pcs.pc.")
@click.pass_context
def main(context: click.Context, /, **asked: bool) -> None:
    """Astrochemical reaction networks for hydrodynamics: a surrogate with an exact integrator behind it."""
    wanted = [name for name in asked if asked[name]]
    if context.invoked_subcommand is not None:
        if wanted:
            raise click.UsageError(f"--{wanted[0].replace('_', '-')} stands alone, without a command")
        return
    if not wanted:
        click.echo(context.get_help(), err=True)
        context.exit(2)
    try:
        click.echo(" ".join(str(getattr(hosts, name)()) for name in wanted))
    except hosts.HostsError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.argument("name_or_path")
@click.option("--canonical", is_flag=True, help="Print the network file in canonical form instead.")
@click.option(
    "--format", "format_", type=click.Choice(["native", "umist", "kida", "krome"]), help="Default: by the content."
)
@click.option("--outside", type=click.Choice(["clamp", "extrapolate", "zero"]), help="Rates outside their range of T.")
@click.option("--drop-unbalanced", is_flag=True, help="Leave out reactions that do not conserve elements and charge.")
@click.option("--elements", metavar="LIST", help='The closed sub-network of these elements, such as "H He C O".')
@click.option("--max-heavy-atoms", type=int, metavar="N", help="The closed sub-network up to N nuclei beside H and He.")
@click.option("--without", "laws", multiple=True, metavar="LAW", help="The closed sub-network without a law: photo.")
def network(
    name_or_path: str,
    canonical: bool,
    format_: str | None,
    outside: str | None,
    drop_unbalanced: bool,
    elements: str | None,
    max_heavy_atoms: int | None,
    laws: tuple[str, ...],
) -> None:
    """Print a network and check it: NAME_OR_PATH is a shipped network (osu_09_2008) or a network file.

    --outside and --drop-unbalanced are for files of the databases (UMIST, KIDA), not for those of KROME.
    """
    from pychemsurrogate.network import NetworkError, load_network
    from pychemsurrogate.network.listing import listing

    options: dict[str, object] = {"outside": outside} if outside else {}
    options |= {"drop_unbalanced": True} if drop_unbalanced else {}
    try:
        net = load_network(name_or_path, format_, **options)
        if elements is not None or max_heavy_atoms is not None or laws:
            kept = elements.split() if elements is not None else None
            net = net.restricted(kept, max_heavy_atoms, without_laws=laws)
    except (NetworkError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(net.text() if canonical else listing(net), nl=False)


@main.command()
@click.argument("folder")
@click.option("--compare", metavar="DIR", help="The output of the same case run with --mode exact: draw the errors.")
@click.option("--out", metavar="DIR", help="Where the pictures and fields.h5 go (default: FOLDER).")
def plot(folder: str, compare: str | None, out: str | None) -> None:
    """Turn the output of the example hydro code into HDF5 and figures."""
    from pathlib import Path

    from pychemsurrogate.evaluation.hydro import FieldsError, read_run, write_hdf5

    try:
        from pychemsurrogate.evaluation.hydro_figures import draw_run
    except ImportError as error:
        raise click.ClickException(f"{error}: pip install 'pychemsurrogate[plot]'") from None
    target = Path(out or folder)
    try:
        run = read_run(folder)
        figures = draw_run(run, read_run(compare) if compare else None, target)
        write_hdf5(run, target / "fields.h5")
    except (FieldsError, OSError) as error:
        raise click.ClickException(str(error)) from None
    for path in [target / "fields.h5", *figures]:
        click.echo(path)


@main.command()
@click.option("-o", "--output", required=True, metavar="FILE", help="The HDF5 file to make.")
@click.option("--network", "name", default="osu_09_2008", show_default=True, help="Shipped network or network file.")
@click.option(
    "--units", default=400, show_default=True, help="Units of work; 100 of them hold every kind and split once."
)
@click.option("--runs-per-unit", default=256, show_default=True)
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--split",
    "splits",
    multiple=True,
    type=click.Choice(["train", "calibration", "test", "shifted", "outside"]),
    default=("train", "calibration", "test"),
    show_default=True,
    help="What to keep; may be given more than once. shifted: collapse and shock tracks; outside: beyond each bound.",
)
@click.option("--unusual", is_flag=True, help="Pairs that start from unusual gas, of which the gate learns.")
@click.option("--workers", default=None, type=int, help="Processes (default: one a core).")
def data(
    output: str,
    name: str,
    units: int,
    runs_per_unit: int,
    seed: int,
    splits: tuple[str, ...],
    unusual: bool,
    workers: int | None,
) -> None:
    """Compute a training or test data set with the native integrator; an interrupted one is continued."""
    from pychemsurrogate.training.dataset import DatasetError, generate
    from pychemsurrogate.training.truth import Recipe

    try:
        recipe = Recipe(name, units, runs_per_unit, seed, splits, unusual)
        path = generate(recipe, output, workers=workers)
    except (DatasetError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(path)


@main.command()
@click.argument("folder")
@click.option("-o", "--output", required=True, metavar="FILE", help="The HDF5 file to make.")
@click.option("--network", "name", default="osu_09_2008", show_default=True, help="Shipped network or network file.")
@click.option("--pairs", "count", default=40_000, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=1, show_default=True)
def record(folder: str, output: str, name: str, count: int, seed: int) -> None:
    """Make a test data set from the cells of a run of the example hydro code (FOLDER)."""
    from pychemsurrogate.evaluation.hydro import FieldsError
    from pychemsurrogate.evaluation.recorded import recorded_pairs
    from pychemsurrogate.network import NetworkError
    from pychemsurrogate.training.dataset import save
    from pychemsurrogate.training.truth import Recipe

    recipe = Recipe(network=name, seed=seed, splits=("shifted",))
    try:
        pairs, dropped = recorded_pairs(folder, recipe, count)
    except (FieldsError, NetworkError, OSError) as error:
        raise click.ClickException(str(error)) from None
    save(pairs, output, recipe, dropped)
    click.echo(output)


@main.command()
@click.argument("dataset", required=False)
@click.option("-o", "--output", required=True, metavar="FILE", help="The model file (.pcs) to write.")
@click.option(
    "--held-out", default=None, metavar="FILE", help="The data set to calibrate and test on (default: DATASET)."
)
@click.option(
    "--map",
    "kind",
    type=click.Choice(["fast", "accurate", "large", "multiclock"]),
    default=None,
    help="Which map to train (default: fast).",
)
@click.option("--samples", default=None, type=float, help="Samples that the map (with --gate-of: the head) sees.")
@click.option(
    "--stream",
    "blocks",
    default=None,
    type=click.IntRange(0),
    metavar="BLOCKS",
    help="Blocks of fresh pairs (some 90 thousand each) that the native integrator makes for every later round, or for "
    "--continue (default there: 20 without DATASET, else 0).",
)
@click.option(
    "--unusual",
    multiple=True,
    metavar="FILE",
    help="A data set of unusual gas (data --unusual) for the gate; repeatable.",
)
@click.option("--gate-of", "gated", default=None, metavar="MODEL", help="Keep this model's map; make its gate anew.")
@click.option("--alpha", default=None, type=float, help="With --gate-of: share of accepted cells that may be wrong.")
@click.option("--continue", "parent", default=None, metavar="MODEL", help="Train this model file's map further.")
@click.option(
    "--from", "logs", multiple=True, metavar="LOG", help="What it learns from: a log of refused states; more than once."
)
@click.option("--seed", default=1, show_default=True)
@click.option("--threads", default=0, help="Threads of torch (default: its own choice).")
@click.option(
    "--checkpoint", default=None, metavar="DIR", help="Where an interrupted fit is kept (default: beside FILE)."
)
def train(
    dataset: str | None,
    output: str,
    held_out: str | None,
    kind: str | None,
    samples: float | None,
    blocks: int | None,
    unusual: tuple[str, ...],
    gated: str | None,
    alpha: float | None,
    parent: str | None,
    logs: tuple[str, ...],
    seed: int,
    threads: int,
    checkpoint: str | None,
) -> None:
    """Train a surrogate on DATASET (made by `data`), calibrate its gate, and write the model file.

    With --continue MODEL --from LOG it learns on from the states that a host's runs refused or audited
    (Solver.load(..., log=LOG)), beside pairs of DATASET, a data set of MODEL's recipe, or fresh ones. With --gate-of
    MODEL its error head, distance and thresholds are made anew from DATASET and the data sets of unusual gas.
    """
    if parent is None and dataset is None:
        raise click.UsageError("name a DATASET, or a model to --continue")
    if (parent is None) != (not logs):
        raise click.UsageError("--continue MODEL and --from LOG go together")
    if gated is not None and (dataset is None or parent is not None or kind is not None):
        raise click.UsageError(
            "--gate-of MODEL needs a DATASET, and keeps the model's map: neither --map nor --continue"
        )
    if parent is not None and kind is not None:
        raise click.UsageError("--continue keeps the model's own map: leave --map out")
    if kind == "multiclock" and blocks:
        raise click.UsageError("--stream is for the later rounds of --map fast and accurate; multiclock has none")
    try:
        import torch
    except ImportError as error:
        raise click.ClickException(f"{error}: pip install 'pychemsurrogate[torch]'") from None
    from pychemsurrogate.model_file import ModelFileError
    from pychemsurrogate.state_log import LogError
    from pychemsurrogate.training.dataset import DatasetError
    from pychemsurrogate.training.learn_on import learn_on
    from pychemsurrogate.training.minimise import CheckpointError
    from pychemsurrogate.training.recipe import RECIPES, ContinueRecipe, JumpRecipe
    from pychemsurrogate.training.train import MapError, accuracy_table, regate
    from pychemsurrogate.training.train import train as run

    if threads:
        torch.set_num_threads(threads)
    try:
        if parent is not None:
            again = ContinueRecipe(samples=samples, fresh_blocks=blocks, seed=seed)
            model = learn_on(parent, logs, output, again, dataset, checkpoint, held_out=held_out, unusual=unusual)
        elif gated is not None:
            model = regate(
                gated,
                str(dataset),
                output,
                checkpoint,
                held_out=held_out,
                unusual=unusual,
                samples=samples,
                alpha=alpha,
            )
        else:
            recipe = replace(RECIPES[kind or "fast"], seed=seed)
            if samples is not None:
                recipe = replace(recipe, samples=samples)
            if isinstance(recipe, JumpRecipe) and blocks:
                recipe = replace(recipe, fresh_blocks=blocks)
            model = run(str(dataset), output, recipe, checkpoint, held_out=held_out, unusual=unusual)
    except (CheckpointError, DatasetError, LogError, MapError, ModelFileError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(accuracy_table(model.meta["accuracy"]))


@main.command()
@click.option("-o", "--output", default="reproduce", show_default=True, metavar="FOLDER", help="Everything goes here.")
@click.option("--quick", is_flag=True, help="One seed and fewer sizes: under 20 minutes on two cores instead of 120.")
@click.option("--seeds", default=None, type=click.IntRange(1), metavar="N", help="Data and fits by N seeds (3).")
@click.option(
    "--convention",
    type=click.Choice(["published", "text"]),
    default="published",
    show_default=True,
    help="Initial values as in the paper's published data or as in its text.",
)
@click.option("--threads", default=2, show_default=True, help="Fits that run side by side, each on one thread.")
def reproduce(output: str, quick: bool, seeds: int | None, convention: str, threads: int) -> None:
    """Reproduce the table and figures of the seed paper, Sulzer & Buck (2023), from data made here.

    Continues where it was interrupted when it is called again with the same FOLDER.
    """
    try:
        from pychemsurrogate.evaluation.reproduce import run
        from pychemsurrogate.evaluation.seed_plan import full_plan, quick_plan
    except ImportError as error:
        raise click.ClickException(f"{error}: pip install 'pychemsurrogate[torch,plot]'") from None
    from pychemsurrogate.training.dataset import DatasetError

    plan = quick_plan(convention, seeds or 1) if quick else full_plan(convention, seeds or 3)
    try:
        click.echo(run(plan, output, workers=threads))
    except DatasetError as error:
        raise click.ClickException(str(error)) from None


@main.command()
@click.argument("model_file", metavar="MODEL")
@click.option("-o", "--output", default="card.html", show_default=True, metavar="FILE", help="The page to write.")
@click.option("--data", default=None, metavar="FILE", help="Held-out pairs: its split test (default: made here).")
@click.option("--shifted", default=None, metavar="FILE", help="Its split shifted (default: collapse and shock tracks).")
@click.option("--outside", default=None, metavar="FILE", help="Its split outside (default: made beyond each bound).")
@click.option("--runs", default=None, type=click.IntRange(2), help="Runs a unit of new pairs, and of rollouts (256).")
@click.option("--steps", default=None, type=click.IntRange(1), help="Steps of the rollouts (1000).")
@click.option("--seed", default=None, type=click.IntRange(0), help="Of all that is drawn.")
@click.option("--quick", is_flag=True, help="A rough look in seconds: 32 runs, 20 steps, fewer pairs.")
def report(
    model_file: str,
    output: str,
    data: str | None,
    shifted: str | None,
    outside: str | None,
    runs: int | None,
    steps: int | None,
    seed: int | None,
    quick: bool,
) -> None:
    """Write the model card of MODEL (a shipped model or a .pcs file): errors, gate, rollouts and costs on one page."""
    from pathlib import Path

    from pychemsurrogate.model_file import ModelFile, ModelFileError

    try:
        from pychemsurrogate.evaluation.card.page import write_page
    except ImportError as error:
        raise click.ClickException(f"{error}: pip install 'pychemsurrogate[report]'") from None
    from pychemsurrogate.evaluation.card.data import CardRecipe
    from pychemsurrogate.evaluation.card.measured import CardError
    from pychemsurrogate.evaluation.card.report import make_card
    from pychemsurrogate.training.dataset import DatasetError
    from pychemsurrogate.training.sampling import SamplingError

    given = {"runs": runs, "steps": steps, "seed": seed}
    changes = {name: value for name, value in given.items() if value is not None}
    # Refused before the minutes that the measurements take.
    if not Path(output).resolve().parent.is_dir():
        raise click.ClickException(f"{output}: there is no such folder; make it, or name another file")
    try:
        recipe = CardRecipe.quick(**changes) if quick else CardRecipe(**changes)
        card = make_card(ModelFile.read(model_file), recipe, data, shifted, outside)
        click.echo(write_page(card, output))
    except (CardError, DatasetError, ModelFileError, OSError, SamplingError) as error:
        raise click.ClickException(str(error)) from None


class _KromeCommand(click.Command):
    """Takes KROME's own spelling of options too (-n FILE, -useX, -useIERR), and says which are not to be had."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        from pychemsurrogate.krome import KromeOptionError, translated

        try:
            return super().parse_args(ctx, translated(args))
        except KromeOptionError as error:
            raise click.UsageError(str(error), ctx) from None


@main.command(cls=_KromeCommand)
@click.argument("name_or_path", metavar="NETWORK_OR_MODEL")
@click.option("-o", "--output", required=True, metavar="DIR", help="The folder to write into (made if need be).")
@click.option("--use-x", is_flag=True, help="Mass fractions instead of number densities (KROME's -useX).")
@click.option("--ierr", is_flag=True, help="C's krome() has the argument ierr, too (KROME's -useIERR).")
@click.option("--conserve", is_flag=True, help="krome_conserve() scales to the elements of its second argument.")
@click.option(
    "--mode",
    type=click.Choice(["exact", "auto", "surrogate"]),
    help="Which path serves a cell (default: auto for a model with a surrogate, else exact).",
)
@click.option("--rtol", type=float, help="Of the exact integrator (default: 1e-4 in mode exact, as KROME's).")
@click.option("--atol", type=float, help="Its absolute tolerance in n/n_H (default: 1e-15).")
@click.option(
    "--common",
    "commons",
    multiple=True,
    metavar="CONDITION=NAME",
    help="The variable for a condition of the network, such as zeta=user_crflux; more than once.",
)
@click.option("--clean", is_flag=True, help="Write krome_user_commons.f90 again, too, which is yours.")
def krome(
    name_or_path: str,
    output: str,
    use_x: bool,
    ierr: bool,
    conserve: bool,
    mode: str | None,
    rtol: float | None,
    atol: float | None,
    commons: tuple[str, ...],
    clean: bool,
) -> None:
    """Write KROME-compatible Fortran modules, C headers and makefiles for libkrome, over libpcs.

    NETWORK_OR_MODEL is a KROME network file, or any other network or model that pychemsurrogate reads. A host written
    for KROME compiles against DIR and links to libkrome. docs/hosts/moving_from_krome.md says what differs.
    """
    from pathlib import Path

    from pychemsurrogate.krome import GenerateError, generate, read_source
    from pychemsurrogate.model_file import ModelFileError
    from pychemsurrogate.network import NetworkError

    named = {}
    for item in commons:
        condition, _, name = item.partition("=")
        if not name:
            raise click.UsageError(f"'{item}' is not CONDITION=NAME, such as zeta=user_crflux")
        named[condition] = name
    try:
        files = generate(
            read_source(name_or_path),
            Path(output),
            commons=named,
            use_x=use_x,
            ierr=ierr,
            conserve=conserve,
            mode=mode,
            rtol=rtol,
            atol=atol,
            clean=clean,
        )
    except (GenerateError, ModelFileError, NetworkError, OSError, UnicodeDecodeError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{output}: {len(files)} files; now run make in it, or add it to a CMake project")


@main.group()
def model() -> None:
    """Make model files and look into them."""


@model.command("network")
@click.argument("name_or_path")
@click.option("-o", "--output", required=True, metavar="FILE", help="The model file (.pcs) to write.")
def model_network(name_or_path: str, output: str) -> None:
    """Write a model file that holds a network alone, for mode "exact"."""
    from pychemsurrogate.model_file import ModelFile
    from pychemsurrogate.network import NetworkError, load_network

    try:
        ModelFile.from_network(load_network(name_or_path)).write(output)
    except (NetworkError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(output)


@model.command("join")
@click.argument("parts", nargs=-1, required=True, metavar="NAME=MODEL ...")
@click.option("-o", "--output", required=True, metavar="FILE", help="The model file (.pcs) to write.")
def model_join(parts: tuple[str, ...], output: str) -> None:
    """Write one model with the learned paths of several of the same network, by new names, the cheapest first."""
    from pychemsurrogate.model_file import ModelFile, ModelFileError

    named = [part.partition("=") for part in parts]
    for name, _, path in named:
        if not path:
            raise click.UsageError(f"'{name}' is not NAME=MODEL, such as fast=fast.pcs")
    try:
        ModelFile.join((name, ModelFile.read(path)) for name, _, path in named).write(output)
    except (ModelFileError, OSError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(output)


@model.command("compile")
@click.argument("name_or_path")
@click.option(
    "--isa", type=click.Choice(["sse2", "avx2", "avx512"]), help="Default: this processor's best, or $PCS_ISA."
)
def model_compile(name_or_path: str, isa: str | None) -> None:
    """Compile straight-line kernels for the network of a model file or network file, for kernels "compiled".

    They are kept in $PCS_KERNEL_CACHE, else $XDG_CACHE_HOME/pychemsurrogate, else ~/.cache/pychemsurrogate. Needs a C++
    compiler: $CXX or c++.
    """
    from pathlib import Path
    from time import perf_counter

    from pychemsurrogate import _native
    from pychemsurrogate.integrators import CompileError, compile_kernels, open_network
    from pychemsurrogate.model_file import ModelFile, ModelFileError
    from pychemsurrogate.network import NetworkError, load_network

    try:
        is_model = Path(name_or_path).suffix == ".pcs"
        solver = open_network(ModelFile.read(name_or_path).network() if is_model else load_network(name_or_path))
        if solver.has_code:
            click.echo("this network's straight-line kernels are part of the library: nothing to compile")
            return
        before, start = Path(solver.object_path(isa or _native.isa())).exists(), perf_counter()
        path = compile_kernels(solver, isa)
    except (CompileError, ModelFileError, NetworkError, OSError, UnicodeDecodeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{path} ({'compiled before' if before else f'compiled in {perf_counter() - start:.1f} s'})")


@model.command("show")
@click.argument("name_or_path")
def model_show(name_or_path: str) -> None:
    """Print what a model file holds: provenance, accuracy, arrays."""
    import json

    from pychemsurrogate.model_file import ModelFile, ModelFileError

    try:
        file = ModelFile.read(name_or_path)
    except ModelFileError as error:
        raise click.ClickException(str(error)) from None
    click.echo(json.dumps(file.meta, indent=1))
    for name, array in file.arrays.items():
        click.echo(f"{name:40s} {array.dtype!s:8s} {array.shape}")
