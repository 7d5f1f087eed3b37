! Second-order reconstruction: the slope of every quantity within a cell, per cell width.
module reconstruct
  use constants, only: dp
  implicit none
  private
  public :: gas_slope, species_slope

contains

  ! Van Leer's harmonic slope of each primitive variable (van Leer 1974): zero at extrema, so that no interface value
  ! leaves the range of its neighbours and densities and pressures stay positive.
  pure function gas_slope(left, centre, right) result(slope)
    real(dp), intent(in) :: left(:), centre(:), right(:)
    real(dp) :: slope(size(centre))
    real(dp) :: a(size(centre)), b(size(centre))
    a = centre - left
    b = right - centre
    where (a * b > 0)
      slope = 2 * a * b / (a + b)
    elsewhere
      slope = 0
    end where
  end function

  ! One common slope of the whole composition q = n_i / n_H: van Albada's average (van Albada, van Leer & Roberts 1982)
  ! with vectors in the place of numbers, compared in relative changes.
  !
  ! Elements and charge are sums over species with fixed weights. A limiter that treats each species by itself breaks
  ! those sums: interface values would hold more carbon than the gas brings. Here the slope is the same linear
  ! combination of the two one-sided differences for all species, so each sum is reconstructed by that same
  ! combination: what is uniform stays uniform to round-off, and neutral gas stays neutral. (Plewa & Mueller 1999
  ! rescale interface fractions instead, which is exact for one sum, not for four that share species.)
  ! A last common factor keeps both interface values of every species from falling below zero.
  pure function species_slope(left, centre, right) result(slope)
    real(dp), intent(in) :: left(:), centre(:), right(:)
    real(dp) :: slope(size(centre))
    real(dp), parameter :: trace = 1.0e-18_dp   ! abundances below count as zero in the comparison
    real(dp) :: a, b, weight, aa, bb, ab, shrink, half
    integer :: i

    aa = 0
    bb = 0
    ab = 0
    do i = 1, size(centre)
      a = centre(i) - left(i)
      b = right(i) - centre(i)
      weight = 1 / (centre(i) + trace)**2
      aa = aa + weight * a * a
      bb = bb + weight * b * b
      ab = ab + weight * a * b
    end do
    if (ab <= 0) then
      slope = 0
      return
    end if
    slope = (bb * (centre - left) + aa * (right - centre)) / (aa + bb)

    shrink = 1
    do i = 1, size(centre)
      half = 0.5_dp * abs(slope(i))
      if (half * shrink > centre(i)) shrink = (1 - 4 * epsilon(1.0_dp)) * centre(i) / half   ! round-off aside
    end do
    slope = shrink * slope
  end function
end module reconstruct
