"""The command line. Each command imports its room when it runs, so that none needs more than it uses."""

from __future__ import annotations

import click

import pychemsurrogate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(pychemsurrogate.__version__, prog_name="pychemsurrogate")
def main() -> None:
    """Astrochemical reaction networks for hydrodynamics: a surrogate with an exact integrator behind it."""


@main.command()
@click.argument("name_or_path")
@click.option("--canonical", is_flag=True, help="Print the network file in canonical form instead.")
def network(name_or_path: str, canonical: bool) -> None:
    """Print a network and check it: NAME_OR_PATH is a shipped network (osu_09_2008) or a network file."""
    from pychemsurrogate.network import NetworkError, load_network
    from pychemsurrogate.network.listing import listing

    try:
        net = load_network(name_or_path)
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
