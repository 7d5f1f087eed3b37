! One process: what parallel_mpi.f90 does for many, without MPI.
module parallel
  use constants, only: dp, i1
  implicit none
  private
  public :: start_ranks, finish_ranks, exchange_rows, gather_rows, largest, total

  integer, parameter, public :: rank = 0         ! this process
  integer, parameter, public :: ranks = 1        ! how many there are
  integer, parameter, public :: local_rank = 0   ! this process among those of its node

  interface gather_rows
    module procedure gather_real, gather_status
  end interface

contains

  subroutine start_ranks()
  end subroutine

  subroutine finish_ranks()
  end subroutine

  ! Fill the ghost rows of values(:, :, 1 - ghosts:ny + ghosts): the box is periodic in y.
  subroutine exchange_rows(values, ghosts)
    integer, intent(in) :: ghosts
    real(dp), intent(inout), contiguous :: values(:, :, 1 - ghosts:)
    integer :: ny
    ny = ubound(values, 3) - ghosts
    values(:, :, 1 - ghosts:0) = values(:, :, ny + 1 - ghosts:ny)
    values(:, :, ny + 1:ny + ghosts) = values(:, :, 1:ghosts)
  end subroutine

  ! The rows of all ranks, in the order of y, on rank 0.
  subroutine gather_real(mine, all)
    real(dp), intent(in), contiguous :: mine(:, :, :)
    real(dp), intent(inout), contiguous :: all(:, :, :)
    all = mine
  end subroutine

  subroutine gather_status(mine, all)
    integer(i1), intent(in), contiguous :: mine(:, :)
    integer(i1), intent(inout), contiguous :: all(:, :)
    all = mine
  end subroutine

  ! The largest of the ranks' values.
  function largest(mine) result(value)
    real(dp), intent(in) :: mine
    real(dp) :: value
    value = mine
  end function

  ! The sum of the ranks' values. Counts add up exactly; other sums may depend on the number of ranks.
  function total(mine) result(value)
    real(dp), intent(in) :: mine
    real(dp) :: value
    value = mine
  end function
end module parallel
