! Advance cells that come in a binary file, and write them back. Usage: step_file MODEL.pcs FILE SPECIES CELLS
! The file holds dt(cell) [s], temperature(cell) [K], zeta(cell) [1/s], n(species, cell) [cm^-3].
program step_file
  use, intrinsic :: iso_fortran_env, only: real64
  use pychemsurrogate, only: chem_solver
  implicit none
  type(chem_solver) :: chemistry
  real(real64), allocatable :: dt(:), temperature(:), conditions(:, :), n(:, :)
  character(512) :: model, path, number
  integer :: species, cells, unit

  call get_command_argument(1, model)
  call get_command_argument(2, path)
  call get_command_argument(3, number)
  read (number, *) species
  call get_command_argument(4, number)
  read (number, *) cells
  allocate (dt(cells), temperature(cells), conditions(1, cells), n(species, cells))
  open (newunit=unit, file=path, access="stream", form="unformatted", status="old")
  read (unit) dt, temperature, conditions, n
  call chemistry%open(model)
  call chemistry%set_option("mode", "exact")
  call chemistry%step(n, dt, temperature, conditions)
  rewind (unit)
  write (unit) n
  close (unit)
end program step_file
