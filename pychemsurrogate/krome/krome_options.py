"""KROME's own command-line options: what becomes of each here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

# KROME's option -> ours. A value follows "=" in both.
RENAMED: Final = {
    "useX": "--use-x",
    "useIERR": "--ierr",
    "ierr": "--ierr",
    "conserve": "--conserve",
    "conserveLin": "--conserve",
    "RTOL": "--rtol",
    "clean": "--clean",
}

# Options that ask for what is always so here, or for what does not matter here: left out.
NEEDLESS: Final = frozenset(
    [
        "compact", "forceMF21", "forceMF222", "gfortran", "interfaceC", "interfacePy", "noExample", "noRecCheck",
        "noSinkCheck", "noVerbatimFile", "sh", "skipDup", "skipJacobian", "skipODEthermo", "unsafe", "useN",
    ]
)  # fmt: skip

_THERMAL = "the chemistry here is isothermal: heat and cool in the host"
_DUST = "there is no dust and no grain chemistry here"
_PHOTO = "there are no photon bins: give photo rates as expressions of @common variables in the network file"
_FILE = "change the network file instead"
REFUSED: Final = {
    "ATOL": "the absolute tolerance here is relative to the density of H nuclei (option --atol)",
    "columnDensityMethod": "only KROME's default relation of krome_num2col is here",
    "coolFile": _THERMAL,
    "coolLevels": _THERMAL,
    "cooling": _THERMAL,
    "coolingQuench": _THERMAL,
    "customATOL": "tolerances are the same for all species (options --rtol and --atol)",
    "customODE": _FILE,
    "customRTOL": "tolerances are the same for all species (options --rtol and --atol)",
    "dust": _DUST,
    "dustOptions": _DUST,
    "dustTabs": _DUST,
    "fexArgument": "the right-hand side cannot be replaced by the host's",
    "gamma": "krome_get_gamma is 5/3, KROME's default",
    "H2opacity": _THERMAL,
    "heating": _THERMAL,
    "iRHS": _FILE,
    "noTlimits": _FILE,
    "options": "an option file is not read: name the options in the command",
    "photoBins": _PHOTO,
    "photoDustVarAv": _PHOTO,
    "reducer": "use `pychemsurrogate network --elements ...` to restrict a network",
    "reverse": "write the reverse reactions into the network file",
    "shielding": "self-shielding is not here",
    "shieldingWG11": "self-shielding is not here",
    "source": _FILE,
    "stars": "stellar rates are not here",
    "surface": _DUST,
    "test": "KROME's tests belong to KROME; tests/krome of this project has programs of their kinds",
    "Tlimit": "write the operators into the network file, such as <1160",
    "useFileIdx": "reactions are numbered in the order of the file",
    "useTabs": "rates are evaluated, not tabulated: leave the option out",
    "useThermoToggle": _THERMAL,
    "xrays": "X-ray rates are not here",
}
_BY_LOWER: Final = {name.lower(): name for name in (*RENAMED, *NEEDLESS, *REFUSED)}
_OURS: Final = frozenset(["--atol", "--clean", "--conserve", "--ierr", "--rtol"])  # names that KROME has too


class KromeOptionError(ValueError):
    """An option of KROME that cannot be had here; the message says why, and what to do."""


def translated(arguments: Sequence[str]) -> list[str]:
    """The command line with KROME's options (-n FILE, -useX, -RTOL=1d-6, -project=NAME) put into ours.

    Raises KromeOptionError for options whose physics or numerics is not here.
    """
    result: list[str] = []
    for argument in arguments:
        option, equals, value = argument.partition("=")
        name = option.lstrip("-")
        known = _BY_LOWER.get(name.lower()) if option.startswith("-") and len(name) > 1 else None
        if option in ("-n", "-network"):
            result += [value] if equals else []  # else the file is the argument that follows
        elif option == "-project":
            result += ["-o", f"build_{value}"]
        elif known is None or option in _OURS:
            result.append(argument)
        elif known in REFUSED:
            raise KromeOptionError(f"KROME's option -{known} is not here: {REFUSED[known]}")
        elif known in RENAMED:
            result.append(RENAMED[known] + equals + value.lower().replace("d", "e"))
    return result
