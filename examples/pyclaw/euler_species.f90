! Riemann solver for Clawpack: the Euler equations in two dimensions with any number of species, HLLC in wave form.
!
! q(1:4) = density, x and y momentum, energy; q(5:) = one conserved density a species. Three waves.
! Toro, Spruce & Speares 1994, Shock Waves 4, 25 (HLLC); LeVeque 2002, Finite Volume Methods, chapters 6, 15 (waves).
!
! Every flux of species is a flux of mass times the composition of one side, and every factor is the same for all
! species: what is a sum of species (an element, the charge) and uniform stays so to round-off.
module euler_species
  use, intrinsic :: iso_c_binding, only: c_double, c_int
  implicit none
  private
  public :: gamma, least_pressure, rpn2

  real(c_double), bind(c, name="euler_species_gamma") :: gamma = 5 / 3.0_c_double
  ! The sound speed squared / gamma that cold, fast gas keeps, whose pressure is a small difference of large energies.
  real(c_double), bind(c, name="euler_species_least_pressure") :: least_pressure = 0

contains

  ! The arguments of every rpn2 of Clawpack: the slice q(:, 1-mbc:mx+mbc) comes as ql and qr; the problem at the left
  ! edge of cell i has the states qr(:, i-1) and ql(:, i).
  subroutine rpn2(ixy, maxm, meqn, mwaves, maux, mbc, mx, ql, qr, auxl, auxr, wave, s, amdq, apdq) &
      bind(c, name="euler_species_rpn2")
    integer(c_int), intent(in) :: ixy, maxm, meqn, mwaves, maux, mbc, mx
    real(c_double), dimension(meqn, 1-mbc:maxm+mbc), intent(in) :: ql, qr
    real(c_double), dimension(maux, 1-mbc:maxm+mbc), intent(in) :: auxl, auxr
    real(c_double), intent(inout) :: wave(meqn, mwaves, 1-mbc:maxm+mbc), s(mwaves, 1-mbc:maxm+mbc)
    real(c_double), dimension(meqn, 1-mbc:maxm+mbc), intent(inout) :: amdq, apdq
    real(c_double), dimension(meqn) :: left, right, left_star, right_star, flux_left, flux_right, flux
    real(c_double), dimension(meqn - 4) :: x_left, x_right
    real(c_double) :: p_left, p_right, u_left, u_right, c_left, c_right, rate_left, rate_right, contact
    integer :: i, w, mu

    associate (unused_left => auxl, unused_right => auxr)
    end associate
    mu = 1 + ixy  ! the momentum along the slice
    do i = 2 - mbc, mx + mbc
      left = qr(:, i-1)
      right = ql(:, i)
      p_left = pressure(left(1:4))
      p_right = pressure(right(1:4))
      u_left = left(mu) / left(1)
      u_right = right(mu) / right(1)
      c_left = sqrt(gamma * p_left / left(1))
      c_right = sqrt(gamma * p_right / right(1))
      s(1, i) = min(u_left - c_left, u_right - c_right)
      s(3, i) = max(u_left + c_left, u_right + c_right)
      rate_left = left(1) * (s(1, i) - u_left)      ! mass that crosses the outer waves
      rate_right = right(1) * (s(3, i) - u_right)
      contact = (p_right - p_left + u_left * rate_left - u_right * rate_right) / (rate_left - rate_right)
      s(2, i) = contact
      left_star = star(left, p_left, u_left, s(1, i), contact, mu)
      right_star = star(right, p_right, u_right, s(3, i), contact, mu)
      wave(:, 1, i) = left_star - left
      wave(:, 2, i) = right_star - left_star
      wave(:, 3, i) = right - right_star

      ! First order: the flux at the edge, minus that of either side.
      flux_left = flux_of(left, p_left, u_left, mu)
      flux_right = flux_of(right, p_right, u_right, mu)
      if (contact > 0) then
        flux = flux_left + min(s(1, i), 0.0_c_double) * wave(:, 1, i)
      else
        flux = flux_right - max(s(3, i), 0.0_c_double) * wave(:, 3, i)
      end if
      amdq(:, i) = flux - flux_left
      apdq(:, i) = flux_right - flux

      ! Second order: Clawpack limits these waves, one factor a wave, and moves them as correction fluxes. A flux of
      ! mass takes the composition of the cell that it comes from; the jump of the composition follows the contact.
      x_left = left(5:) / left(1)
      x_right = right(5:) / right(1)
      do w = 1, 3
        if (wave(1, w, i) > 0) then
          wave(5:, w, i) = wave(1, w, i) * x_left
        else
          wave(5:, w, i) = wave(1, w, i) * x_right
        end if
      end do
      wave(5:, 2, i) = wave(5:, 2, i) + jump(min(left_star(1), right_star(1)), x_left, x_right)
    end do
  end subroutine rpn2

  pure real(c_double) function pressure(q)
    real(c_double), intent(in) :: q(4)

    pressure = max((gamma - 1) * (q(4) - (q(2)**2 + q(3)**2) / (2 * q(1))), least_pressure * q(1))
  end function pressure

  pure function flux_of(q, p, u, mu) result(flux)
    real(c_double), intent(in) :: q(:), p, u
    integer, intent(in) :: mu
    real(c_double) :: flux(size(q))

    flux = u * q
    flux(mu) = flux(mu) + p
    flux(4) = flux(4) + u * p
  end function flux_of

  ! The state between an outer wave of the given speed and the contact.
  pure function star(q, p, u, speed, contact, mu) result(q_star)
    real(c_double), intent(in) :: q(:), p, u, speed, contact
    integer, intent(in) :: mu
    real(c_double) :: q_star(size(q)), squeeze

    squeeze = (speed - u) / (speed - contact)
    q_star = squeeze * q
    q_star(mu) = squeeze * q(1) * contact
    q_star(4) = squeeze * (q(4) + (contact - u) * (q(1) * contact + p / (speed - u)))
  end function star

  ! density * (x_right - x_left), made smaller by one factor for all species until no cell can lose more of a species
  ! than it has: a wave adds at most 1/4 of itself (limiter 2 at most, Courant number 1/2) to the flux at one edge.
  pure function jump(density, x_left, x_right)
    real(c_double), intent(in) :: density, x_left(:), x_right(:)
    real(c_double) :: jump(size(x_left)), factor

    jump = x_right - x_left
    factor = minval(min(x_left, x_right) / max(abs(jump), tiny(1.0_c_double)))
    jump = density * min(1.0_c_double, factor) * jump
  end function jump
end module euler_species
