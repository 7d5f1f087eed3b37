! Cells per second of processor time on each rank, with or without MPI (-DWITH_MPI). Usage: rank_speed MODE
! Every rank steps clouds of 1e2 to 1e6 cm^-3 of its own, on one thread; prints the best of several calls.
program rank_speed
  use, intrinsic :: iso_fortran_env, only: int8, real64
#ifdef WITH_MPI
  use mpi_f08, only: MPI_Barrier, MPI_COMM_WORLD, MPI_Finalize, MPI_Init
#endif
  use pychemsurrogate, only: chem_solver
  implicit none
  integer, parameter :: cells = 4000, calls = 25
  type(chem_solver) :: solver
  real(real64), allocatable :: start(:, :), n(:, :)
  real(real64) :: temperature(cells), zeta(1, cells) = 1e-16_real64, density, before, after, best
  integer(int8) :: status(cells)
  integer :: cell, call
  character(16) :: mode

#ifdef WITH_MPI
  call MPI_Init()
#endif
  call get_command_argument(1, mode)
  call solver%open("osu_09_2008-multiclock")
  call solver%set_option("mode", trim(mode))
  call solver%set_option("threads", 1)
  allocate (start(solver%n_species(), cells), source=0.0_real64)
  do cell = 1, cells
    density = 10**(2 + 4 * real(cell, real64) / cells)
    start(solver%species_index("H2"), cell) = 0.5_real64 * density
    start(solver%species_index("O"), cell) = 2e-4_real64 * density
    start(solver%species_index("C+"), cell) = 1e-4_real64 * density
    start(solver%species_index("e-"), cell) = 1e-4_real64 * density
    temperature(cell) = 10 + 290 / (1 + (density / 200)**0.6_real64)
  end do
  call solver%step(start, 3.15576e11_real64, temperature, zeta, status=status)   ! gas of 1e4 yr
  best = huge(best)
  do call = 1, calls
    n = start
#ifdef WITH_MPI
    call MPI_Barrier(MPI_COMM_WORLD)   ! the ranks compute at the same time
#endif
    call cpu_time(before)
    call solver%step(n, 3.15576e10_real64, temperature, zeta, status=status)
    call cpu_time(after)
    best = min(best, after - before)
  end do
  print '(f12.0)', cells / best
#ifdef WITH_MPI
  call MPI_Finalize()
#endif
end program
