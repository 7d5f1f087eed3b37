! Molecular gas at 1e4 cm^-3 for 1e4 yr; prints n(CO). SPDX-License-Identifier: BSD-3-Clause
! Usage: host_fortran MODEL
program host
  use, intrinsic :: iso_c_binding, only: c_double
  use pychemsurrogate, only: chem_solver
  implicit none
  type(chem_solver) :: solver
  real(c_double), allocatable :: n(:, :)
  real(c_double) :: temperature(1) = 20, conditions(1, 1) = 1e-16_c_double
  character(1024) :: model
  integer :: i

  call get_command_argument(1, model)
  call solver%open(trim(model))
  call solver%set_option('mode', 'exact')
  allocate (n(solver%n_species(), 1), source=0.0_c_double)
  call set('H2', 5e3_c_double)
  call set('C+', 1.0_c_double)
  call set('e-', 1.0_c_double)
  call set('O', 3.0_c_double)
  call solver%step(n, 3.15576e11_c_double, temperature, conditions)
  i = solver%species_index('CO')
  print '(es22.15)', n(i, 1)

contains
  subroutine set(name, value)
    character(*), intent(in) :: name
    real(c_double), intent(in) :: value
    integer :: at
    at = solver%species_index(name)
    n(at, 1) = value
  end subroutine
end program
