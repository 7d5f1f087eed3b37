"""Facts of KROME's interface and of the elements that the generated modules hold."""

from __future__ import annotations

from typing import Final

# KROME's physical constants (krome_constants, and with the prefix krome_ krome_user), in cgs unless the name says
# otherwise: name, value, what it is. The values are KROME's own, so that a host's numbers stay.
_BOLTZMANN_EV: Final = 8.617332478e-5
_BOLTZMANN_ERG: Final = 1.380648e-16
_PLANCK_EV: Final = 4.135667516e-15
_PLANCK_J: Final = 6.62606957e-34
_PLANCK_ERG: Final = 6.62606957e-27
_PROTON_G: Final = 1.67262158e-24
_LIGHT: Final = 2.99792458e10
_PI: Final = 3.14159265359
_KM_CM: Final = 1e5
_CM_MPC: Final = 1.0 / 3.08e24
_HUBBLE: Final = 0.704
CONSTANTS: Final[tuple[tuple[str, float, str], ...]] = (
    ("boltzmann_eV", _BOLTZMANN_EV, "eV/K"),
    ("boltzmann_J", 1.380648e-23, "J/K"),
    ("boltzmann_erg", _BOLTZMANN_ERG, "erg/K"),
    ("iboltzmann_eV", 1.0 / _BOLTZMANN_EV, "K/eV"),
    ("iboltzmann_erg", 1.0 / _BOLTZMANN_ERG, "K/erg"),
    ("planck_eV", _PLANCK_EV, "eV s"),
    ("planck_J", _PLANCK_J, "J s"),
    ("planck_erg", _PLANCK_ERG, "erg s"),
    ("iplanck_eV", 1.0 / _PLANCK_EV, "1/(eV s)"),
    ("iplanck_J", 1.0 / _PLANCK_J, "1/(J s)"),
    ("iplanck_erg", 1.0 / _PLANCK_ERG, "1/(erg s)"),
    ("gravity", 6.674e-8, "cm^3/(g s^2)"),
    ("e_mass", 9.10938188e-28, "g"),
    ("p_mass", _PROTON_G, "g"),
    ("n_mass", 1.674920e-24, "g"),
    ("ip_mass", 1.0 / _PROTON_G, "1/g"),
    ("clight", _LIGHT, "cm/s"),
    ("pi", _PI, "to twelve digits"),
    ("eV_to_erg", 1.60217646e-12, "erg/eV"),
    ("ry_to_eV", 13.60569, "eV/Ry"),
    ("ry_to_erg", 2.179872e-11, "erg/Ry"),
    ("seconds_per_year", 365.0 * 24.0 * 3600.0, "s, of 365 days"),
    ("km_to_cm", _KM_CM, "cm/km"),
    ("cm_to_Mpc", _CM_MPC, "Mpc/cm"),
    ("kvgas_erg", 8.0 * _BOLTZMANN_ERG / _PI / _PROTON_G, "8 k / (pi m_p)"),
    ("pre_kvgas_sqrt", (8.0 * _BOLTZMANN_ERG / _PI) ** 0.5, "sqrt(8 k / pi)"),
    ("pre_planck", 2.0 * _PLANCK_ERG / _LIGHT**2, "2 h / c^2"),
    ("exp_planck", _PLANCK_ERG / _BOLTZMANN_ERG, "h / k, in s K"),
    ("stefboltz_erg", 5.670373e-5, "erg/(s cm^2 K^4)"),
    ("N_avogadro", 6.0221e23, "1/mol"),
    ("Rgas_J", 8.3144621, "J/(K mol)"),
    ("Rgas_kJ", 8.3144621e-3, "kJ/(K mol)"),
    ("hubble", _HUBBLE, "of 100 km/(s Mpc)"),
    ("Omega0", 1.0, "density parameter of matter"),
    ("Omegab", 0.0456, "density parameter of baryons"),
    ("Hubble0", 1e2 * _HUBBLE * _KM_CM * _CM_MPC, "1/s"),
)

# krome_set_<name> and krome_get_<name>, and the constant of krome_engine that numbers the value.
SETTINGS: Final[tuple[tuple[str, str], ...]] = (
    ("Tcmb", "VALUE_TCMB"),
    ("zredshift", "VALUE_ZREDSHIFT"),
    ("orthoParaRatio", "VALUE_ORTHO_PARA"),
    ("metallicity", "VALUE_METALLICITY"),
    ("Tfloor", "VALUE_TFLOOR"),
    ("Z", "VALUE_Z"),
    ("dust_to_gas", "VALUE_DUST_TO_GAS"),
    ("clump", "VALUE_CLUMP"),
)

# What KROME users call the conditions of our networks.
COMMONS: Final = {"zeta": "user_crate", "A_V": "user_Av", "G0": "user_G0"}

ELEMENTS: Final = (
    "H", "He", "Li", "Be", "B", "C", "N", "O", "F", "Ne", "Na", "Mg", "Al", "Si", "P", "S", "Cl", "Ar", "K", "Ca", "Sc",
    "Ti", "V", "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As", "Se", "Br", "Kr",
)  # fmt: skip
PROTONS: Final = {symbol: number for number, symbol in enumerate(ELEMENTS, 1)} | {"D": 1}

# Photospheric abundances, 12 + log10(n / n_H): Asplund, Grevesse, Sauval & Scott 2009, ARA&A 47, 481, table 1.
SOLAR_DEX: Final = {
    "Li": 1.05, "Be": 1.38, "B": 2.70, "C": 8.43, "N": 7.83, "O": 8.69, "F": 4.56, "Ne": 7.93, "Na": 6.24, "Mg": 7.60,
    "Al": 6.45, "Si": 7.51, "P": 5.41, "S": 7.12, "Cl": 5.50, "Ar": 6.40, "K": 5.03, "Ca": 6.34, "Sc": 3.15,
    "Ti": 4.95, "V": 3.93, "Cr": 5.64, "Mn": 5.43, "Fe": 7.50, "Co": 4.99, "Ni": 6.22, "Cu": 4.19, "Zn": 4.56,
}  # fmt: skip
