! What the clients share: the cells of the input file, and a record of every step for the test.
! Input: ncells times (T [K], ionisation rate [1/s], dt [s], n(krome_nmols) [cm^-3]); output: the same with n after it.
module cells
  use krome_user
  implicit none
  integer, parameter :: most = 4096
  integer :: ncells, unit_out
  real*8 :: temperature(most), crate(most), step(most), n_in(krome_nmols, most)
contains
  subroutine read_cells()
    character(512) :: path, output, count
    integer :: i, unit_in
    call get_command_argument(1, path)
    call get_command_argument(2, output)
    call get_command_argument(3, count)
    open (newunit=unit_out, file=output, access="stream", form="unformatted", status="replace")
    ncells = 0
    if (path == "-") return
    read (count, *) ncells
    open (newunit=unit_in, file=path, access="stream", form="unformatted", status="old")
    do i = 1, ncells
      read (unit_in) temperature(i), crate(i), step(i), n_in(:, i)
    end do
    close (unit_in)
  end subroutine

  subroutine record(t, rate, dt, before, after)
    real*8, intent(in) :: t, rate, dt, before(krome_nmols), after(krome_nmols)
    write (unit_out) t, rate, dt, before, after
  end subroutine
end module cells
