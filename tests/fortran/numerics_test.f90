! The hydro code's own numerics: reconstruction and Riemann solver.
program numerics_test
  use constants, only: dp
  use expect, only: check, finish
  use reconstruct, only: gas_slope, species_slope
  use riemann, only: hllc
  implicit none
  real(dp), parameter :: gamma = 1.4_dp
  real(dp) :: left(5), centre(5), right(5), slope(5), sums(3), factor
  real(dp) :: a(4), b(4), flux(4), mirrored(4)
  integer :: trial

  ! Gas: exact for linear data, flat at extrema, never beyond the neighbours.
  call check(all(abs(gas_slope([1.0_dp], [2.0_dp], [3.0_dp]) - 1) < 1.0e-15_dp), "linear gas")
  call check(all(gas_slope([1.0_dp], [2.0_dp], [1.5_dp]) == [0.0_dp]), "extremum of the gas")
  slope = gas_slope([0.0_dp], [1.0_dp], [100.0_dp])
  call check(abs(slope(1)) <= 2, "limited by the smaller difference")

  ! Composition: weighted sums of the slopes are the slopes of the sums, and nothing falls below zero.
  left = [0.5_dp, 1.0e-4_dp, 2.0e-4_dp, 1.0e-8_dp, 0.0_dp]
  centre = left + [1.0e-3_dp, 1.0e-5_dp, -1.0e-5_dp, 1.0e-9_dp, 1.0e-12_dp]
  right = centre + [1.0e-3_dp, 1.0e-5_dp, -1.0e-5_dp, 1.0e-9_dp, 1.0e-12_dp]
  slope = species_slope(left, centre, right)
  call check(all(abs(slope - (centre - left)) <= 1.0e-13_dp * centre), "linear composition")
  do trial = 1, 1000
    call random_number(left)
    call random_number(centre)
    call random_number(right)
    left = 10**(-12 * left)
    centre = 10**(-12 * centre)
    right = 10**(-12 * right)
    ! The second and third species together hold the same in all three cells.
    centre(3) = 2 - centre(2)
    left(3) = 2 - left(2)
    right(3) = 2 - right(2)
    slope = species_slope(left, centre, right)
    call check(all(centre - 0.5_dp * abs(slope) >= 0), "positive interface values")
    call check(abs(slope(2) + slope(3)) <= 1.0e-15_dp, "a uniform sum stays uniform")
    sums = [sum(left(4:5)), sum(centre(4:5)), sum(right(4:5))]
    factor = slope(4) + slope(5)
    call check(factor <= max(sums(2) - sums(1), sums(3) - sums(2), 0.0_dp) + 1.0e-15_dp .and. &
               factor >= min(sums(2) - sums(1), sums(3) - sums(2), 0.0_dp) - 1.0e-15_dp, "sums have slopes between theirs")
  end do

  ! Riemann solver: consistent, mirror-symmetric, exact for a contact at rest and for a shear layer.
  a = [1.0_dp, 0.3_dp, -0.2_dp, 0.7_dp]
  flux = hllc(a, a, gamma)
  call check(all(abs(flux - [0.3_dp, 0.09_dp + 0.7_dp, -0.06_dp, 0.3_dp * (0.7_dp / 0.4_dp + 0.065_dp + 0.7_dp)]) < 1.0e-14_dp), &
             "the flux of one state")
  b = [0.2_dp, -1.0_dp, 0.5_dp, 0.1_dp]
  flux = hllc(a, b, gamma)
  mirrored = hllc([b(1), -b(2), b(3), b(4)], [a(1), -a(2), a(3), a(4)], gamma)
  call check(all(abs(flux - [-1, 1, -1, -1] * mirrored) < 1.0e-14_dp), "mirror symmetry")
  flux = hllc([1.0_dp, 0.0_dp, 3.0_dp, 0.5_dp], [0.1_dp, 0.0_dp, -2.0_dp, 0.5_dp], gamma)
  call check(all(abs(flux - [0.0_dp, 0.5_dp, 0.0_dp, 0.0_dp]) < 1.0e-15_dp), "a contact at rest stays sharp")
  flux = hllc([1.0_dp, 9.0_dp, 0.0_dp, 1.0_dp], [1.0_dp, 8.0_dp, 0.0_dp, 1.0_dp], gamma)
  call check(abs(flux(1) - 9) < 1.0e-14_dp, "supersonic flow takes the upwind state")
  call finish()
end program numerics_test
