! The mesh and what lives on it: cell averages on nx x ny cells with two layers of ghost cells. The box is cut along y:
! a rank has the full rows of one slab.
module grid
  use constants, only: dp
  use parallel, only: gather_rows, rank, ranks
  implicit none
  private
  public :: mesh, ghosts, whole_box

  integer, parameter :: ghosts = 2   ! what a second-order reconstruction reads

  type :: mesh
    integer :: nx, ny, n_species          ! ny: rows of this rank
    integer :: rows_below = 0, rows       ! of the box: below the first row of this rank, and in all
    real(dp) :: dx, dy                    ! cm
    real(dp) :: x_left, y_left            ! cm, coordinates of the lower corner of the box
    real(dp) :: time = 0                  ! s
    real(dp), allocatable :: u(:, :, :)   ! (4, x, y) conserved gas state, see module gas
    real(dp), allocatable :: n(:, :, :)   ! (species, x, y) number densities [cm^-3]
  contains
    procedure :: x   ! cell centres [cm]
    procedure :: y
    procedure :: two_dimensional
  end type mesh

  interface mesh
    module procedure new_mesh
  end interface

contains

  ! This rank's share of a box of nx x rows cells.
  function new_mesh(nx, rows, n_species, length_x, length_y) result(self)
    integer, intent(in) :: nx, rows, n_species
    real(dp), intent(in) :: length_x, length_y   ! cm
    type(mesh) :: self
    if (ranks > 1 .and. rows < ghosts * ranks) then
      error stop "grid: too many ranks: each must have two rows of cells, and a 1-D run has one row in all"
    end if
    self%rows = rows
    self%rows_below = rank * rows / ranks
    self%dx = length_x / nx
    self%dy = length_y / rows
    self%x_left = -0.5_dp * length_x
    self%y_left = -0.5_dp * length_y
    call allocate_cells(self, nx, (rank + 1) * rows / ranks - self%rows_below, n_species)
  end function

  subroutine allocate_cells(self, nx, ny, n_species)
    type(mesh), intent(inout) :: self
    integer, intent(in) :: nx, ny, n_species
    self%nx = nx
    self%ny = ny
    self%n_species = n_species
    allocate (self%u(4, 1 - ghosts:nx + ghosts, 1 - ghosts:ny + ghosts), source=0.0_dp)
    allocate (self%n(n_species, 1 - ghosts:nx + ghosts, 1 - ghosts:ny + ghosts), source=0.0_dp)
  end subroutine

  ! The cells of all ranks as one mesh on rank 0, for output; elsewhere without rows. All ranks must call it.
  function whole_box(part) result(whole)
    type(mesh), intent(in) :: part
    type(mesh) :: whole
    real(dp), allocatable :: u(:, :, :), n(:, :, :)
    integer :: nx, ny

    nx = part%nx
    ny = merge(part%rows, 0, rank == 0)
    whole%rows = ny
    whole%dx = part%dx
    whole%dy = part%dy
    whole%x_left = part%x_left
    whole%y_left = part%y_left
    whole%time = part%time
    call allocate_cells(whole, nx, ny, part%n_species)
    allocate (u(4, nx, ny), n(part%n_species, nx, ny))
    call gather_rows(part%u(:, 1:nx, 1:part%ny), u)
    call gather_rows(part%n(:, 1:nx, 1:part%ny), n)
    whole%u(:, 1:nx, 1:ny) = u
    whole%n(:, 1:nx, 1:ny) = n
  end function

  elemental function x(self, i)
    class(mesh), intent(in) :: self
    integer, intent(in) :: i
    real(dp) :: x
    x = self%x_left + (i - 0.5_dp) * self%dx
  end function

  elemental function y(self, j)
    class(mesh), intent(in) :: self
    integer, intent(in) :: j
    real(dp) :: y
    y = self%y_left + (self%rows_below + j - 0.5_dp) * self%dy
  end function

  pure logical function two_dimensional(self)
    class(mesh), intent(in) :: self
    two_dimensional = self%rows > 1
  end function
end module grid
