! Particles with abundances and a density each, in a serial loop that sets the variables of every particle.
program amuse_like
  use krome_main
  use krome_user
  use cells
  implicit none
  type particle_type
    real*8 :: abundances(krome_nmols), number_density, temperature, crate, av
  end type
  type(particle_type), allocatable :: particles(:)
  real*8 :: x(krome_nmols), before(krome_nmols), tgas, dt, k(krome_nrea)
  character*50 :: reactions(krome_nrea)
  integer :: i, ret

  call read_cells()
  call krome_init()
  allocate (particles(ncells))
  do i = 1, ncells
    particles(i)%number_density = sum(n_in(:, i))
    particles(i)%abundances = n_in(:, i)/particles(i)%number_density
    particles(i)%temperature = temperature(i)
    particles(i)%crate = crate(i)
    particles(i)%av = 1d0 + 0.25d0*i
  end do
  reactions = krome_get_rnames()
  if (reactions(2) /= "H+ + E -> H") error stop "names of reactions"
  do i = 1, ncells
    x = particles(i)%number_density*particles(i)%abundances
    tgas = particles(i)%temperature
    dt = step(i)
    call krome_set_user_crate(particles(i)%crate)
    call krome_set_user_Av(particles(i)%av)
    if (abs(krome_get_user_av()/particles(i)%av - 1d0) > 0d0) error stop "user_Av"
    k = krome_get_coef(tgas, x)
    if (abs(k(1)/(0.5d0*particles(i)%crate) - 1d0) > 1d-12) error stop "rate of HE -> HE+ + E"
    before = x
    call krome(x, tgas, dt, ret)
    if (ret /= 0) error stop "krome"
    particles(i)%abundances = x/particles(i)%number_density
    call record(tgas, particles(i)%crate, dt, before, x)
  end do
end program
