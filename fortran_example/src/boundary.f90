! Ghost cells: what every problem has to do, and two ways of doing it.
module boundary
  use grid, only: ghosts, mesh
  use parallel, only: exchange_rows
  implicit none
  private
  public :: boundaries, fill_open_x, fill_periodic_y

  ! What lies around the box. A problem extends it.
  type, abstract :: boundaries
  contains
    procedure(fill), deferred :: fill_ghosts
  end type boundaries

  abstract interface
    ! Fill the ghost cells for the time cells%time.
    subroutine fill(self, cells)
      import :: boundaries, mesh
      class(boundaries), intent(in) :: self
      type(mesh), intent(inout) :: cells
    end subroutine
  end interface

contains

  ! Copy the outermost cells outwards: waves leave. side is -1 (left) or +1 (right).
  subroutine fill_open_x(cells, side)
    type(mesh), intent(inout) :: cells
    integer, intent(in) :: side
    integer :: k, edge, ghost
    edge = merge(1, cells%nx, side < 0)
    do k = 1, ghosts
      ghost = edge + side * k
      cells%u(:, ghost, :) = cells%u(:, edge, :)
      cells%n(:, ghost, :) = cells%n(:, edge, :)
    end do
  end subroutine

  ! The rows below and above are another rank's, or at the other end of the box.
  subroutine fill_periodic_y(cells)
    type(mesh), intent(inout) :: cells
    if (.not. cells%two_dimensional()) return
    call exchange_rows(cells%u, ghosts)
    call exchange_rows(cells%n, ghosts)
  end subroutine
end module boundary
