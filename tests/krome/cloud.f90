! A dark cloud over a million years: fixed conditions, growing steps, a table of abundances.
program cloud
  use krome_main
  use krome_user
  use krome_user_commons
  implicit none
  real*8 :: x(krome_nmols), before(krome_nmols), Tgas, dt, t, xH
  integer :: unit
  character*512 :: output

  call get_command_argument(2, output)
  open (newunit=unit, file=output, access="stream", form="unformatted", status="replace")
  Tgas = 1d1
  xH = 2d4
  call krome_init()
  call krome_set_user_crate(1.3d-17)
  x(:) = 1d-20*xH
  x(KROME_idx_H2) = 0.5d0*xH
  x(KROME_idx_O) = 1.76d-4*xH
  x(KROME_idx_Cj) = 7.3d-5*xH
  x(KROME_idx_E) = krome_get_electrons(x(:))
  dt = 1d2*krome_seconds_per_year
  t = 0d0
  do
    dt = dt*2.2d0
    t = t + dt
    before(:) = x(:)
    call krome(x(:), Tgas, dt)
    write (unit) Tgas, 1.3d-17, dt, before, x
    if (t > 1d6*krome_seconds_per_year) exit
  end do
end program
