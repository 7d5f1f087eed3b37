! The blocks of a grid code: mass fractions on the grid, number densities for the call, electrons from the charge.
module chemistry_of_blocks
  use cells
  implicit none
  integer, parameter :: side = 4
  real*8 :: solution(krome_nmols, side, side, side), density(side, side, side), heat(side, side, side)
  real*8 :: rate(side, side, side)
contains
  subroutine chemistry(dt)
    use krome_main
    use krome_user
    real*8, intent(in) :: dt
    character*16 :: names(krome_nmols)
    real*8 :: amu(krome_nmols), xn(krome_nmols), before(krome_nmols), tmp
    integer :: i, j, k

    names(:) = krome_get_names()
    if (trim(names(krome_idx_e)) /= "E") error stop "names"
    amu(:) = krome_get_mass()/krome_p_mass
    do k = 1, side
      do j = 1, side
        do i = 1, side
          tmp = heat(i, j, k)
          xn(:) = solution(:, i, j, k)*density(i, j, k)/krome_p_mass/amu(:)
          xn(krome_idx_e) = krome_get_electrons(xn(:))
          before(:) = xn(:)
          call krome_set_user_crate(rate(i, j, k))
          call krome(xn(:), tmp, dt)
          call record(tmp, rate(i, j, k), dt, before, xn)
          xn(krome_idx_e) = krome_get_electrons(xn(:))
          solution(:, i, j, k) = xn(:)*amu(:)*krome_p_mass/density(i, j, k)
        end do
      end do
    end do
  end subroutine
end module

program flash_like
  use chemistry_of_blocks
  use krome_main
  implicit none
  integer :: i, j, k, c

  call read_cells()
  c = 0
  do k = 1, side
    do j = 1, side
      do i = 1, side
        c = mod(c, ncells) + 1
        density(i, j, k) = krome_get_rho(n_in(:, c))
        solution(:, i, j, k) = krome_n2x(n_in(:, c), density(i, j, k))
        heat(i, j, k) = temperature(c)
        rate(i, j, k) = crate(c)
      end do
    end do
  end do
  call krome_init()
  call chemistry(3d2*krome_seconds_per_year)
  if (any(abs(sum(solution, 1) - 1d0) > 1d-12)) error stop "mass"
end program
