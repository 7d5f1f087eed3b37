! The gas: an ideal gas within a time step, brought to its thermal balance T(n_H) at the end of the step.
!
! Interstellar gas of 10^2..10^6 cm^-3 cools faster than it moves, so its temperature follows from its density alone.
! The network has no thermal terms, so the balance is given: T = T_cold + (T_warm - T_cold) / (1 + (n_H / n_b)^s), a
! smooth fall from warm to cold. Solving Riemann problems with gamma = 1.001 and then resetting T is a relaxation
! scheme (Jin & Xin 1995): it is stable because the sound speed of the balanced gas, c^2 = dp/drho along p(rho), does
! not exceed that of the gamma gas where T falls with density (the subcharacteristic condition).
module gas
  use case_file, only: gas_group
  use constants, only: dp, k_boltzmann, m_hydrogen
  implicit none
  private
  public :: gas_law

  ! Components of the conserved and of the primitive state.
  integer, parameter, public :: rho_ = 1, mx_ = 2, my_ = 3, energy_ = 4   ! g/cm^3, g/cm^2/s (x, y), erg/cm^3
  integer, parameter, public :: vx_ = 2, vy_ = 3, pressure_ = 4           ! cm/s (x, y), erg/cm^3

  type :: gas_law
    real(dp) :: gamma, mu, mass_per_h   ! 1, 1 (in m_H), g
    logical :: thermal_balance
    real(dp) :: t_cold, t_warm, n_balance, slope
  contains
    procedure :: hydrogen       ! n_H of a mass density
    procedure :: balance        ! T(n_H)
    procedure :: pressure       ! p(rho, T)
    procedure :: temperature    ! T(rho, p)
    procedure :: primitive      ! conserved -> primitive
    procedure :: conserved      ! primitive -> conserved
    procedure :: sound_speed
  end type gas_law

  interface gas_law
    module procedure gas_law_of_group
  end interface

contains

  pure function gas_law_of_group(setup) result(law)
    type(gas_group), intent(in) :: setup
    type(gas_law) :: law
    law%gamma = setup%gamma
    law%mu = setup%mu
    law%mass_per_h = setup%mass_per_h * m_hydrogen
    law%thermal_balance = setup%thermal_balance
    law%t_cold = setup%t_cold
    law%t_warm = setup%t_warm
    law%n_balance = setup%n_balance
    law%slope = setup%slope
  end function

  elemental function hydrogen(self, rho) result(n_h)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: rho   ! g/cm^3
    real(dp) :: n_h               ! cm^-3
    n_h = rho / self%mass_per_h
  end function

  elemental function balance(self, n_h) result(t)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: n_h   ! cm^-3
    real(dp) :: t                 ! K
    t = self%t_cold + (self%t_warm - self%t_cold) / (1 + (n_h / self%n_balance)**self%slope)
  end function

  elemental function pressure(self, rho, t) result(p)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: rho, t   ! g/cm^3, K
    real(dp) :: p                    ! erg/cm^3
    p = rho * k_boltzmann * t / (self%mu * m_hydrogen)
  end function

  elemental function temperature(self, rho, p) result(t)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: rho, p   ! g/cm^3, erg/cm^3
    real(dp) :: t                    ! K
    t = p * self%mu * m_hydrogen / (rho * k_boltzmann)
  end function

  pure function primitive(self, u) result(w)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: u(4)
    real(dp) :: w(4)
    w(rho_) = u(rho_)
    w(vx_) = u(mx_) / u(rho_)
    w(vy_) = u(my_) / u(rho_)
    w(pressure_) = (self%gamma - 1) * (u(energy_) - 0.5_dp * (u(mx_)**2 + u(my_)**2) / u(rho_))
  end function

  pure function conserved(self, w) result(u)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: w(4)
    real(dp) :: u(4)
    u(rho_) = w(rho_)
    u(mx_) = w(rho_) * w(vx_)
    u(my_) = w(rho_) * w(vy_)
    u(energy_) = w(pressure_) / (self%gamma - 1) + 0.5_dp * w(rho_) * (w(vx_)**2 + w(vy_)**2)
  end function

  pure function sound_speed(self, w) result(c)
    class(gas_law), intent(in) :: self
    real(dp), intent(in) :: w(4)
    real(dp) :: c   ! cm/s
    c = sqrt(self%gamma * w(pressure_) / w(rho_))
  end function
end module gas
