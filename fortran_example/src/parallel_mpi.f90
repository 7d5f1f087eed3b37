! The ranks of an MPI run share the box: each has the full rows of a slab in y. parallel_serial.f90 is the same module
! for one process. MPI's own error handler ends the run when one of its calls fails.
module parallel
  use constants, only: dp, i1
  use mpi_f08, only: MPI_Allreduce, MPI_Comm, MPI_Comm_free, MPI_Comm_rank, MPI_Comm_size, MPI_Comm_split_type, &
    MPI_COMM_TYPE_SHARED, MPI_COMM_WORLD, MPI_DOUBLE_PRECISION, MPI_Finalize, MPI_Gather, MPI_Gatherv, &
    MPI_INFO_NULL, MPI_Init_thread, MPI_INTEGER, MPI_INTEGER1, MPI_MAX, MPI_Sendrecv, MPI_STATUS_IGNORE, MPI_SUM, &
    MPI_THREAD_FUNNELED
  implicit none
  private
  public :: start_ranks, finish_ranks, exchange_rows, gather_rows, largest, total

  integer, protected, public :: rank = 0         ! this process
  integer, protected, public :: ranks = 1        ! how many there are
  integer, protected, public :: local_rank = 0   ! this process among those of its node

  interface gather_rows
    module procedure gather_real, gather_status
  end interface

contains

  ! Threads never call MPI: those of libpcs and of the OpenMP loops live within one call.
  subroutine start_ranks()
    type(MPI_Comm) :: node
    integer :: provided
    call MPI_Init_thread(MPI_THREAD_FUNNELED, provided)
    if (provided < MPI_THREAD_FUNNELED) error stop "parallel: this MPI does not allow threads beside its calls"
    call MPI_Comm_rank(MPI_COMM_WORLD, rank)
    call MPI_Comm_size(MPI_COMM_WORLD, ranks)
    call MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, node)
    call MPI_Comm_rank(node, local_rank)
    call MPI_Comm_free(node)
  end subroutine

  subroutine finish_ranks()
    call MPI_Finalize()
  end subroutine

  ! Fill the ghost rows of values(:, :, 1 - ghosts:ny + ghosts) from the neighbours in y; the box is periodic.
  subroutine exchange_rows(values, ghosts)
    integer, intent(in) :: ghosts
    real(dp), intent(inout), contiguous :: values(:, :, 1 - ghosts:)
    integer :: above, below, count, ny
    above = modulo(rank + 1, ranks)
    below = modulo(rank - 1, ranks)
    ny = ubound(values, 3) - ghosts
    count = size(values(:, :, 1:ghosts))
    call MPI_Sendrecv(values(:, :, ny + 1 - ghosts:ny), count, MPI_DOUBLE_PRECISION, above, 1, &
                      values(:, :, 1 - ghosts:0), count, MPI_DOUBLE_PRECISION, below, 1, MPI_COMM_WORLD, MPI_STATUS_IGNORE)
    call MPI_Sendrecv(values(:, :, 1:ghosts), count, MPI_DOUBLE_PRECISION, below, 2, &
                      values(:, :, ny + 1:ny + ghosts), count, MPI_DOUBLE_PRECISION, above, 2, MPI_COMM_WORLD, &
                      MPI_STATUS_IGNORE)
  end subroutine

  ! The rows of all ranks, in the order of y, on rank 0.
  subroutine gather_real(mine, all)
    real(dp), intent(in), contiguous :: mine(:, :, :)
    real(dp), intent(inout), contiguous :: all(:, :, :)
    integer :: counts(ranks), starts(ranks)
    call find_shares(size(mine), counts, starts)
    call MPI_Gatherv(mine, size(mine), MPI_DOUBLE_PRECISION, all, counts, starts, MPI_DOUBLE_PRECISION, 0, MPI_COMM_WORLD)
  end subroutine

  subroutine gather_status(mine, all)
    integer(i1), intent(in), contiguous :: mine(:, :)
    integer(i1), intent(inout), contiguous :: all(:, :)
    integer :: counts(ranks), starts(ranks)
    call find_shares(size(mine), counts, starts)
    call MPI_Gatherv(mine, size(mine), MPI_INTEGER1, all, counts, starts, MPI_INTEGER1, 0, MPI_COMM_WORLD)
  end subroutine

  ! How many numbers every rank sends to rank 0, and where they begin.
  subroutine find_shares(mine, counts, starts)
    integer, intent(in) :: mine
    integer, intent(out) :: counts(:), starts(:)
    integer :: k
    call MPI_Gather(mine, 1, MPI_INTEGER, counts, 1, MPI_INTEGER, 0, MPI_COMM_WORLD)
    if (rank > 0) counts = 0   ! counts matter on rank 0 alone
    starts = [(sum(counts(:k - 1)), k=1, size(counts))]
  end subroutine

  ! The largest of the ranks' values.
  function largest(mine) result(value)
    real(dp), intent(in) :: mine
    real(dp) :: value
    call MPI_Allreduce(mine, value, 1, MPI_DOUBLE_PRECISION, MPI_MAX, MPI_COMM_WORLD)
  end function

  ! The sum of the ranks' values. Counts add up exactly; other sums may depend on the number of ranks.
  function total(mine) result(value)
    real(dp), intent(in) :: mine
    real(dp) :: value
    call MPI_Allreduce(mine, value, 1, MPI_DOUBLE_PRECISION, MPI_SUM, MPI_COMM_WORLD)
  end function
end module parallel
