! The mesh and what lives on it: cell averages on nx x ny cells with two layers of ghost cells.
module grid
  use constants, only: dp
  use gas, only: gas_law, rho_
  implicit none
  private
  public :: mesh, ghosts

  integer, parameter :: ghosts = 2   ! what a second-order reconstruction reads

  type :: mesh
    integer :: nx, ny, n_species
    real(dp) :: dx, dy                    ! cm
    real(dp) :: x_left, y_left            ! cm, coordinates of the lower corner
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

  function new_mesh(nx, ny, n_species, length_x, length_y) result(self)
    integer, intent(in) :: nx, ny, n_species
    real(dp), intent(in) :: length_x, length_y   ! cm
    type(mesh) :: self
    self%nx = nx
    self%ny = ny
    self%n_species = n_species
    self%dx = length_x / nx
    self%dy = length_y / ny
    self%x_left = -0.5_dp * length_x
    self%y_left = -0.5_dp * length_y
    allocate (self%u(4, 1 - ghosts:nx + ghosts, 1 - ghosts:ny + ghosts), source=0.0_dp)
    allocate (self%n(n_species, 1 - ghosts:nx + ghosts, 1 - ghosts:ny + ghosts), source=0.0_dp)
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
    y = self%y_left + (j - 0.5_dp) * self%dy
  end function

  pure logical function two_dimensional(self)
    class(mesh), intent(in) :: self
    two_dimensional = self%ny > 1
  end function
end module grid
