! A driver over the fields of a grid: one field a species, internal energy, adiabatic index and mean weight.
subroutine driver(fields, e, T, rate, in, jn, kn, dt, urho)
  use krome_main
  use krome_user
  use krome_constants
  use krome_commons
  use cells, only: record
  implicit none
  integer, intent(in) :: in, jn, kn
  real*8 :: fields(in, jn, kn, krome_nmols), e(in, jn, kn), T(in, jn, kn), rate(in, jn, kn), dt, urho
  real*8, parameter :: mh = p_mass
  real*8 :: dom, krome_x(krome_nmols), before(krome_nmols), mass(krome_nmols), gamma, mu, krome_tgas, old
  integer :: i, j, k

  dom = urho/mh
  mass = krome_get_mass()/mh
  do k = 1, kn
    do j = 1, jn
      do i = 1, in
        krome_x(:) = fields(i, j, k, :)*dom/mass(:)
        gamma = krome_get_gamma(krome_x(:), T(i, j, k))
        mu = krome_get_mu(krome_x(:))
        krome_tgas = e(i, j, k)*(gamma - 1d0)*mu*mh/boltzmann_erg
        if (abs(krome_tgas/T(i, j, k) - 1d0) > 1d-10) error stop "temperature"
        old = krome_tgas
        before(:) = krome_x(:)
        call krome_set_user_crate(rate(i, j, k))
        call krome(krome_x(:), krome_tgas, dt)
        if (krome_tgas /= old) error stop "the chemistry is isothermal"
        call record(krome_tgas, rate(i, j, k), dt, before, krome_x)
        e(i, j, k) = krome_tgas/(gamma - 1d0)/krome_get_mu(krome_x(:))/mh*boltzmann_erg
        fields(i, j, k, :) = krome_x(:)*mass(:)/dom
      end do
    end do
  end do
  if (nmols /= krome_nmols .or. krome_mpi_rank /= 0) error stop "commons"
end subroutine

program enzo_like
  use cells
  use krome_main
  implicit none
  integer, parameter :: in = 3, jn = 2, kn = 2
  real*8 :: fields(in, jn, kn, krome_nmols), e(in, jn, kn), T(in, jn, kn), rate(in, jn, kn), mass(krome_nmols)
  real*8, parameter :: urho = 1d-20
  integer :: i, j, k, c

  call read_cells()
  mass = krome_get_mass()
  c = 0
  do k = 1, kn
    do j = 1, jn
      do i = 1, in
        c = c + 1
        fields(i, j, k, :) = n_in(:, c)*mass(:)/urho
        T(i, j, k) = temperature(c)
        rate(i, j, k) = crate(c)
        e(i, j, k) = temperature(c)/(krome_get_gamma(n_in(:, c), temperature(c)) - 1d0)/krome_get_mu(n_in(:, c)) &
                     /krome_p_mass*krome_boltzmann_erg
      end do
    end do
  end do
  call krome_init()
  call driver(fields, e, T, rate, in, jn, kn, 1d3*krome_seconds_per_year, urho)
end program
