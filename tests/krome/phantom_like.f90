! Particles in parallel, in mass fractions, with sub-steps; the ionisation rate is set once, outside (-useX, user_crflux).
program phantom_like
  use krome_main
  use krome_user
  use cells
  implicit none
  real*8, allocatable :: abundance(:, :), rho(:), before(:, :)
  real*8 :: T_local, dt_cool, time, left, x(krome_nmols), gamma, mu
  integer :: i, steps
  character*16 :: abundance_label(krome_nmols)
  integer :: ierr, failed

  call read_cells()
  call krome_init()
  call krome_set_user_crflux(2.5d-17)
  abundance_label(:) = krome_get_names()
  allocate (abundance(krome_nmols, ncells), rho(ncells), before(krome_nmols, ncells))
  do i = 1, ncells
    rho(i) = krome_get_rho(n_in(:, i))
    abundance(:, i) = krome_n2x(n_in(:, i), rho(i))
    call krome_consistent_x(abundance(:, i))
    before(:, i) = krome_x2n(abundance(:, i), rho(i))
  end do
  failed = 0
  !$omp parallel do default(none) schedule(dynamic, 3) reduction(+:failed) &
  !$omp shared(ncells, abundance, rho, temperature, step) private(i, x, T_local, time, left, dt_cool, steps, gamma, mu, ierr)
  do i = 1, ncells
    T_local = temperature(i)
    x(:) = abundance(:, i)
    mu = krome_get_mu_x(x(:))
    gamma = krome_get_gamma_x(x(:), T_local)
    if (gamma < 1d0 .or. mu < 0.5d0) error stop "gamma, mu"
    time = 0d0
    steps = 0
    do while (steps < 2)
      left = step(i) - time
      dt_cool = 0.5d0*left
      if (steps == 1) dt_cool = left
      call krome(x(:), rho(i), T_local, dt_cool, ierr)
      if (ierr /= 0) failed = failed + 1
      time = time + dt_cool
      steps = steps + 1
    end do
    abundance(:, i) = x(:)
  end do
  !$omp end parallel do
  if (failed > 0) error stop "krome failed"
  do i = 1, ncells
    call record(temperature(i), 2.5d-17, step(i), before(:, i), krome_x2n(abundance(:, i), rho(i)))
  end do
end program
