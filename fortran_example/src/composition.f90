! The composition n_i / n_H of gas that has come into the box, as a function of its density.
module composition
  use constants, only: dp
  implicit none
  private
  public :: composition_table

  type :: composition_table
    real(dp), allocatable :: log_n_h(:)   ! log10 of n_H [cm^-3], evenly spaced
    real(dp), allocatable :: q(:, :)      ! (species, density) n_i / n_H
  contains
    procedure :: value
  end type composition_table

contains

  ! Linear between the table's densities, so that elements and charge, which are linear too, keep their sums.
  pure function value(self, n_h) result(q)
    class(composition_table), intent(in) :: self
    real(dp), intent(in) :: n_h   ! cm^-3
    real(dp) :: q(size(self%q, 1))
    real(dp) :: place, share
    integer :: k, last

    last = size(self%log_n_h)
    place = (log10(n_h) - self%log_n_h(1)) / (self%log_n_h(2) - self%log_n_h(1))
    place = min(max(place, 0.0_dp), real(last - 1, dp))
    k = min(int(place) + 1, last - 1)
    share = place - (k - 1)
    q = (1 - share) * self%q(:, k) + share * self%q(:, k + 1)
  end function
end module composition
