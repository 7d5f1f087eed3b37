! One zone in free fall, at constant temperature: the density grows, the chemistry follows.
program collapse
  use krome_main
  use krome_user
  use cells
  implicit none
  real*8 :: x(krome_nmols), before(krome_nmols), Tgas, dt, dd, growth, rho
  integer :: i

  call read_cells()
  call krome_init()
  call krome_set_zredshift(0d0)
  call krome_set_user_crate(1.3d-17)
  Tgas = 1.5d1
  dd = 1d4
  x(:) = 1d-20
  x(krome_idx_H) = 1d-2*dd
  x(krome_idx_H2) = 0.495d0*dd
  call krome_scale_Z(x(:), -1d0)
  x(krome_idx_Cj) = x(krome_idx_C)
  x(krome_idx_C) = 1d-20
  x(krome_idx_e) = krome_get_electrons(x(:))
  write (*, '(2a)') "#n ", trim(krome_get_names_header())
  do i = 1, 12
    rho = krome_get_rho(x(:))
    dt = 1d-1*sqrt(3d0*krome_pi/32d0/krome_gravity/rho)
    growth = dd/krome_get_free_fall_time(x(:))*dt
    x(:) = x(:)*(dd + growth)/dd
    dd = dd + growth
    before(:) = x(:)
    call krome(x(:), Tgas, dt)
    call record(Tgas, krome_get_user_crate(), dt, before, x)
  end do
end program
