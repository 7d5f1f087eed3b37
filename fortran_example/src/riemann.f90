! The flux between two constant states: HLLC (Toro, Spruce & Speares 1994) with Einfeldt's wave speeds (1988).
module riemann
  use constants, only: dp
  implicit none
  private
  public :: hllc

contains

  ! States are (rho, normal velocity, transverse velocity, pressure); the flux is that of (rho, normal momentum,
  ! transverse momentum, total energy) through the interface, per area and time.
  pure function hllc(l, r, gamma) result(flux)
    real(dp), intent(in) :: l(4), r(4), gamma
    real(dp) :: flux(4)
    real(dp) :: s_left, s_right, s_contact, mass_left, mass_right

    call wave_speeds(l, r, gamma, s_left, s_right)
    if (s_left >= 0) then
      flux = flux_of(l, gamma)
    else if (s_right <= 0) then
      flux = flux_of(r, gamma)
    else
      mass_left = l(1) * (s_left - l(2))
      mass_right = r(1) * (s_right - r(2))
      s_contact = (r(4) - l(4) + mass_left * l(2) - mass_right * r(2)) / (mass_left - mass_right)
      if (s_contact >= 0) then
        flux = flux_of(l, gamma) + s_left * (star(l, s_left, s_contact, gamma) - state_of(l, gamma))
      else
        flux = flux_of(r, gamma) + s_right * (star(r, s_right, s_contact, gamma) - state_of(r, gamma))
      end if
    end if
  end function

  ! Bounds of the fastest waves: the outer ones of the two states and of their Roe average.
  pure subroutine wave_speeds(l, r, gamma, s_left, s_right)
    real(dp), intent(in) :: l(4), r(4), gamma
    real(dp), intent(out) :: s_left, s_right
    real(dp) :: share, u, v, enthalpy, c

    share = sqrt(l(1)) / (sqrt(l(1)) + sqrt(r(1)))
    u = share * l(2) + (1 - share) * r(2)
    v = share * l(3) + (1 - share) * r(3)
    enthalpy = share * enthalpy_of(l, gamma) + (1 - share) * enthalpy_of(r, gamma)
    c = sqrt((gamma - 1) * (enthalpy - 0.5_dp * (u**2 + v**2)))
    s_left = min(l(2) - sqrt(gamma * l(4) / l(1)), u - c)
    s_right = max(r(2) + sqrt(gamma * r(4) / r(1)), u + c)
  end subroutine

  ! The state between an outer wave of speed s and the contact of speed s_contact.
  pure function star(w, s, s_contact, gamma) result(u)
    real(dp), intent(in) :: w(4), s, s_contact, gamma
    real(dp) :: u(4), conserved(4)
    conserved = state_of(w, gamma)
    u(1) = 1
    u(2) = s_contact
    u(3) = w(3)
    u(4) = conserved(4) / w(1) + (s_contact - w(2)) * (s_contact + w(4) / (w(1) * (s - w(2))))
    u = u * w(1) * (s - w(2)) / (s - s_contact)
  end function

  pure function state_of(w, gamma) result(u)
    real(dp), intent(in) :: w(4), gamma
    real(dp) :: u(4)
    u = [w(1), w(1) * w(2), w(1) * w(3), w(4) / (gamma - 1) + 0.5_dp * w(1) * (w(2)**2 + w(3)**2)]
  end function

  pure function flux_of(w, gamma) result(flux)
    real(dp), intent(in) :: w(4), gamma
    real(dp) :: flux(4), u(4)
    u = state_of(w, gamma)
    flux = [u(2), u(2) * w(2) + w(4), u(2) * w(3), (u(4) + w(4)) * w(2)]
  end function

  pure function enthalpy_of(w, gamma) result(enthalpy)
    real(dp), intent(in) :: w(4), gamma
    real(dp) :: enthalpy   ! total, per mass
    enthalpy = gamma / (gamma - 1) * w(4) / w(1) + 0.5_dp * (w(2)**2 + w(3)**2)
  end function
end module riemann
