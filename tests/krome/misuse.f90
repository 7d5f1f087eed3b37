! Everything that can go wrong: a code and a message, x as it was, and no stop where the host does not want one.
! Usage: misuse MODEL FOREIGN MISSING CELLS, the first three models by their paths.
program misuse
  use, intrinsic :: ieee_arithmetic, only: ieee_is_nan, ieee_quiet_nan, ieee_value
  use, intrinsic :: iso_c_binding, only: c_char, c_int, c_null_char
  use krome_main
  use krome_user
  use cells, only: temperature
  implicit none
  interface
    integer(c_int) function setenv(name, value, overwrite) bind(c)
      import
      character(kind=c_char), intent(in) :: name(*), value(*)
      integer(c_int), value :: overwrite
    end function
  end interface
  real*8 :: x(krome_nmols), kept(krome_nmols), k(krome_nrea), column(krome_nspec), batch(krome_nmols, 3), T(3)
  real*8 :: dt = 1d10, crate, step
  integer :: ierr, status(3), bad = 0, unit, i
  character*512 :: path(4)

  do i = 1, 4
    call get_command_argument(i, path(i))
  end do
  open (newunit=unit, file=path(4), access="stream", form="unformatted", status="old")
  read (unit) temperature(1), crate, step, kept
  x = kept

  call model(path(3))
  call krome_set_stop(.false.)
  call krome(x, temperature(1), dt, ierr)
  call expect(ierr == -102 .and. index(krome_get_message(), trim(path(3))) > 0, "krome without a model")
  call expect(krome_get_status() == -102 .and. krome_get_failures() == 1, "status and failures")
  call krome(x, temperature(1), dt)
  call expect(all(x == kept) .and. krome_get_failures() == 2, "krome without a model and without ierr")
  call krome_equilibrium(x, temperature(1))
  call expect(all(x == kept) .and. krome_get_status() == -102, "krome_equilibrium without a model")
  k = krome_get_coef(temperature(1), x)
  call expect(all(ieee_is_nan(k)), "krome_get_coef without a model")
  call krome_set_option("rtol", "1e-3", ierr)
  call expect(ierr == -102, "krome_set_option without a model")
  call krome_close(ierr)
  call expect(ierr == 0, "closing what is not open")

  call model(path(3))
  call krome_init()
  call krome(x, temperature(1), dt, ierr)
  call expect(ierr == -102 .and. index(krome_get_message(), trim(path(3))) > 0, "a missing model: " // krome_get_message())
  call model(path(2))
  call krome_init(ierr)
  call expect(ierr < 0 .and. (index(krome_get_message(), "species") > 0 .or. &
                              index(krome_get_message(), "other conditions or reactions") > 0), "another network's model")
  call krome(x, temperature(1), dt, ierr)
  call expect(ierr < 0 .and. all(x == kept), "krome after it")
  call model(path(1))
  call krome_init(ierr)
  call expect(ierr == 0, "a good model: " // krome_get_message())
  call krome_init(ierr)
  call expect(ierr == 0, "once more")
  call krome_set_user_crate(crate)

  x(5) = ieee_value(1d0, ieee_quiet_nan)
  call krome(x, temperature(1), dt, ierr)
  call expect(ierr == -1 .and. ieee_is_nan(x(5)) .and. all(pack(x == kept, [(i /= 5, i=1, krome_nmols)])), "a NaN")
  call expect(index(krome_get_message(), "NaN") > 0, "its message")
  x = kept
  call krome(x, -1d0, dt, ierr)
  call expect(ierr == -1 .and. all(x == kept), "a negative temperature")
  call krome(x, ieee_value(1d0, ieee_quiet_nan), dt, ierr)
  call expect(ierr == -1 .and. all(x == kept), "a temperature that is NaN")
  call krome(x, temperature(1), -dt, ierr)
  call expect(ierr == -1 .and. all(x == kept), "a negative dt")
  call krome(x, temperature(1), 0d0, ierr)
  call expect(ierr == 0 .and. all(x == kept) .and. krome_get_status() == 1, "dt = 0")
  call krome(x, 1d0, dt, ierr)
  call expect(ierr == 0, "below the background")
  x = kept
  call krome(x, 1d9, dt, ierr)
  call expect(ierr == -4 .and. all(x == kept), "too hot")

  ! Good cells among bad ones are advanced, to the bits that they have alone.
  batch = spread(kept, 2, 3)
  T = temperature(1)
  batch(3, 2) = ieee_value(1d0, ieee_quiet_nan)
  call krome_batch(batch, T, dt, ierr, status)
  call expect(ierr == 1 .and. status(2) == -1 .and. all(status([1, 3]) >= 0), "one bad cell of three")
  call expect(index(krome_get_message(), "1 cells failed; the first of them, cell 2") > 0, krome_get_message())
  call expect(all(pack(batch(:, 2) == kept, [(i /= 3, i=1, krome_nmols)])), "the bad cell is as it was")
  call krome(x, temperature(1), dt, ierr)
  call expect(all(batch(:, 1) == x) .and. all(batch(:, 3) == x), "the good cells")
  call krome_batch(batch(:, 1:0), T(1:0), dt, ierr)
  call expect(ierr == 0, "no cells")
  call krome_batch(batch, T(1:2), dt, ierr, status)
  call expect(ierr == -101 .and. all(status == -101), "a wrong shape: T")
  call krome_batch(batch(1:4, :), T, dt, ierr)
  call expect(ierr == -101 .and. index(krome_get_message(), "x(krome_nmols, cells)") > 0, "a wrong shape: x")
  call krome_batch(batch, T, dt, ierr, status(1:2))
  call expect(ierr == -101, "a wrong shape: status")
  call krome_batch(batch, T, dt, ierr, user=batch)
  call expect(ierr == -101 .and. index(krome_get_message(), "user") > 0, "a wrong shape: user")

  call expect(krome_get_index("CO") == krome_idx_CO, "krome_get_index")
  i = krome_get_failures()
  call expect(krome_get_index("Xx") == 0 .and. krome_get_failures() == i + 1, "an unknown name")
  call expect(index(krome_get_message(), "'Xx'") > 0, krome_get_message())
  call krome_set_option("colour", "blue", ierr)
  call expect(ierr == -103 .and. index(krome_get_message(), "colour") > 0, "an unknown option")
  column = krome_get_jacobian(0, kept, temperature(1))
  call expect(all(ieee_is_nan(column)), "a column that is not there")
  column = krome_get_jacobian(krome_idx_CO, kept, temperature(1))
  call expect(column(krome_idx_CO) < 0d0 .and. all(abs(column(krome_nmols + 1:)) <= 0d0), "a column")
  call krome_close(ierr)
  call expect(ierr == 0, "close")
  x = kept
  call krome(x, temperature(1), dt, ierr)
  call expect(ierr == -101 .and. all(x == kept) .and. index(krome_get_message(), "krome_close") > 0, "after closing")
  call krome_init(ierr)
  call krome(x, temperature(1), dt, ierr)
  call expect(ierr == 0 .and. all(batch(:, 1) == x), "opened again")
  if (bad > 0) error stop "some checks failed"
  print '(a)', "all checks passed"

contains

  subroutine model(where_it_is)
    character(*), intent(in) :: where_it_is
    ierr = setenv("KROME_MODEL" // c_null_char, trim(where_it_is) // c_null_char, 1_c_int)
  end subroutine

  subroutine expect(holds, what)
    logical, intent(in) :: holds
    character(*), intent(in) :: what
    if (holds) return
    bad = bad + 1
    print '(3a, i0, 2a)', "FAILED: ", what, "; status ", krome_get_status(), ", ", krome_get_message()
  end subroutine
end program
