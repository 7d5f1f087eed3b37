! Kinds, constants of nature and units. Everything inside the code is CGS; the case files speak pc, km/s and kyr.
module constants
  use, intrinsic :: iso_fortran_env, only: int8, int64, real64
  implicit none
  private
  public :: dp, i1, i8
  public :: k_boltzmann, m_hydrogen, parsec, km_per_s, kiloyear, pi

  integer, parameter :: dp = real64
  integer, parameter :: i1 = int8
  integer, parameter :: i8 = int64

  real(dp), parameter :: k_boltzmann = 1.380649e-16_dp     ! erg/K, exact (SI 2019)
  real(dp), parameter :: m_hydrogen = 1.6735e-24_dp        ! g, mass of the H atom: 1.00784..1.00811 u (IUPAC)
  real(dp), parameter :: parsec = 3.0856775814913673e18_dp ! cm, IAU 2015 resolution B2
  real(dp), parameter :: km_per_s = 1.0e5_dp               ! cm/s
  real(dp), parameter :: kiloyear = 3.15576e10_dp          ! s, 1000 Julian years (IAU)
  real(dp), parameter :: pi = acos(-1.0_dp)
end module constants
